"""Adds up what ctest reported: summarize.py --require LABELS --broken STEPS [--skipped "NAME: REASON"]... REPORT...

REPORT.xml is ctest's JUnit file and REPORT.json its list of tests (ctest --show-only=json-v1), which has the labels.
Prints what failed, what was skipped and why, and as the last line "N passed, N failed, N skipped". A broken step, a
missing report and a required label without a test that ran count as one failure each; what was left out on request counts as
one skip."""

import argparse
import json
import re
import sys
import xml.etree.ElementTree as xml
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Total:
    passed: int = 0
    failures: list[str] = field(default_factory=list)
    skips: list[str] = field(default_factory=list)
    ran: Counter = field(default_factory=Counter)  # tests that ran, by label

    def add(self, name: str, outcome: str, detail: str, labels: list[str]) -> None:
        if outcome == "skipped":
            self.skips.append(f"{name}: {detail}")
            return
        self.ran.update(labels)
        if outcome == "passed":
            self.passed += 1
        else:
            self.failures.append(f"{name}: {detail}")


def skip_reason(output: str) -> str:
    """What the test said: the line after GoogleTest's "file:line: Skipped", or the last line of another program."""
    if match := re.search(r": Skipped\n(.+)", output):
        return match.group(1).strip()
    lines = output.strip().splitlines()
    return lines[-1].strip() if lines else "no reason given"


def outcome_of(case: xml.Element) -> tuple[str, str]:
    """("passed" | "failed" | "skipped", why). A test whose program is missing did not run, and that is a failure."""
    status = case.get("status", "")
    output = case.findtext("system-out") or ""
    if status == "run":
        return "passed", ""
    if status == "disabled":
        return "skipped", "disabled in the source"
    skipped = case.find("skipped")
    message = skipped.get("message", "") if skipped is not None else ""
    if status == "notrun" and message.startswith("SKIP_"):
        return "skipped", skip_reason(output)
    return "failed", message or f"failed after {float(case.get('time', '0')):.1f} s"


def labels_by_test(listing: Path) -> dict[str, list[str]]:
    labels = {}
    for test in json.loads(listing.read_text(encoding="utf-8"))["tests"]:
        for prop in test.get("properties", []):
            if prop["name"] == "LABELS":
                labels[test["name"]] = prop["value"]
    return labels


def add_report(total: Total, report: Path) -> None:
    run = report.name
    try:
        cases = xml.parse(report.with_name(run + ".xml")).getroot().findall("testcase")
        labels = labels_by_test(report.with_name(run + ".json"))
    except (OSError, ValueError, KeyError, xml.ParseError) as error:
        total.failures.append(f"[{run}] no report of this run: {error}")
        return
    if not cases:
        total.failures.append(f"[{run}] no test ran")
    for case in cases:
        name = case.get("name", "?")
        outcome, detail = outcome_of(case)
        total.add(f"[{run}] {name}", outcome, detail, labels.get(name, []))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--require", default="")
    parser.add_argument("--broken", default="")
    parser.add_argument("--skipped", action="append", default=[])
    parser.add_argument("reports", nargs="*", type=Path)
    arguments = parser.parse_args()

    total = Total(skips=list(arguments.skipped))
    for step in filter(None, arguments.broken.split(",")):
        total.failures.append(f"step '{step}' broke")
    for report in arguments.reports:
        add_report(total, report)
    for label in filter(None, arguments.require.split(",")):
        if total.ran[label] == 0:
            total.failures.append(f"label '{label}' must have tests, and none ran")

    for skip in total.skips:
        print(f"skipped {skip}")
    for failure in total.failures:
        print(f"FAILED {failure}")
    print("by label: " + ", ".join(f"{label} {count}" for label, count in sorted(total.ran.items())))
    print(f"{total.passed} passed, {len(total.failures)} failed, {len(total.skips)} skipped")
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
