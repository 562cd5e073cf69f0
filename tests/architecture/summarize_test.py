"""tests/run.sh must not call anything passed that did not pass: its adding up is tested on made-up reports."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))
from summarize import Total, add_report  # noqa: E402

CASES = """<?xml version="1.0" encoding="UTF-8"?><testsuite>
<testcase name="good" status="run" time="0.1"><system-out>fine</system-out></testcase>
<testcase name="bad" status="fail" time="0.1"><failure message=""/><system-out>no</system-out></testcase>
<testcase name="no_device" status="notrun" time="0"><skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/>
<system-out>x.cpp:3: Skipped
no GPU here
[  SKIPPED ] x</system-out></testcase>
<testcase name="not_built" status="notrun" time="0"><skipped message="Unable to find executable"/></testcase>
<testcase name="off" status="disabled" time="0"/>
</testsuite>"""


class SummarizeTest(unittest.TestCase):
    def report(self, cases: str) -> Total:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "r.xml").write_text(cases, encoding="utf-8")
            tests = [{"name": name, "properties": [{"name": "LABELS", "value": ["unit"]}]}
                     for name in ("good", "bad", "no_device", "not_built", "off")]
            Path(folder, "r.json").write_text(json.dumps({"tests": tests}), encoding="utf-8")
            total = Total()
            add_report(total, Path(folder, "r"))
        return total

    def test_outcomes_are_told_apart(self):
        total = self.report(CASES)
        self.assertEqual(total.passed, 1)
        self.assertEqual([line.split(":")[0] for line in total.failures], ["[r] bad", "[r] not_built"])
        self.assertEqual(total.skips, ["[r] no_device: no GPU here", "[r] off: disabled in the source"])

    def test_skipped_tests_do_not_count_as_run(self):
        self.assertEqual(self.report(CASES).ran["unit"], 3)

    def test_what_was_left_out_counts_as_a_skip(self):
        result = subprocess.run([sys.executable, TESTS / "summarize.py", "--skipped", "[cuda] all: not wanted"],
                                capture_output=True, text=True, check=True)
        self.assertIn("skipped [cuda] all: not wanted\n", result.stdout)
        self.assertEqual(result.stdout.splitlines()[-1], "0 passed, 0 failed, 1 skipped")

    def test_an_empty_or_torn_report_fails(self):
        self.assertEqual(len(self.report("<testsuite/>").failures), 1)
        self.assertEqual(len(self.report("<testsuite><testcase").failures), 1)

    def test_a_missing_report_fails(self):
        total = Total()
        add_report(total, Path("/nonexistent/r"))
        self.assertEqual(len(total.failures), 1)


if __name__ == "__main__":
    unittest.main()
