"""The HTML report of a run: complete, and with nothing to fetch."""

import html.parser
import os
import subprocess
import sys
import unittest
import xml.etree.ElementTree

from tests.support.trireme_cli import REPOSITORY, CliTest, run

FETCHING = {"src", "href", "xlink:href", "srcset", "data", "action"}


def python_that_draws():
    """This Python, or the system's, which may have matplotlib where this one has not."""
    for python in (sys.executable, "/usr/bin/python3"):
        if os.path.exists(python) and subprocess.run([python, "-c", "import matplotlib"], capture_output=True).returncode == 0:
            return python
    return None


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.fetched, self.text, self.tags = [], "", []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.fetched += [value for name, value in attributes if name in FETCHING and not (value or "").startswith("#")]

    def handle_data(self, data):
        self.text += data


class ReportTest(CliTest):
    def report(self, folder, python=None):
        return subprocess.run([python or sys.executable, REPOSITORY / "jobs/report.py", folder], capture_output=True, text=True)

    def test_a_run_of_two_ranks(self):
        python = python_that_draws()
        if python is None:
            self.skipTest("matplotlib is not installed: cluster/install-deps.sh installs it")
        done = run("train", self.job(), "--job.name", "a<b>&c", ranks=2, environment={"TRIREME_FAULT": "slow-data:rank=1:step=0:ms=20"})
        self.assertEqual(done.code, 0, done)
        made = self.report(self.folder / "run", python)
        self.assertEqual(made.returncode, 0, made.stderr)
        text = (self.folder / "run" / "report.html").read_text()
        page = Page()
        page.feed(text)
        self.assertEqual(page.fetched, [], "a browser would need the network")
        self.assertNotIn("@import", text)
        self.assertNotIn("script", page.tags)
        for piece in ("Loss", "samples / s", "straggler wait", "rank 1", "planned", "for rank 1 (", "a<b>&c", "[optimizer]", "state sha256"):
            self.assertIn(piece, page.text)
        self.assertGreaterEqual(page.tags.count("svg"), 4)
        for piece in text.split("<svg")[1:]:
            xml.etree.ElementTree.fromstring("<svg" + piece[: piece.index("</svg>") + 6])

    def test_no_run_folder(self):
        python = python_that_draws()
        if python is None:
            self.skipTest("matplotlib is not installed: cluster/install-deps.sh installs it")
        made = self.report(self.folder, python)
        self.assertNotEqual(made.returncode, 0)
        self.assertIn("is no run folder", made.stderr)

    def test_without_matplotlib_it_says_what_to_install(self):
        (self.folder / "matplotlib.py").write_text("raise ImportError('hidden')")
        made = subprocess.run([sys.executable, REPOSITORY / "jobs/report.py", self.folder], capture_output=True, text=True,
                              env=dict(os.environ, PYTHONPATH=str(self.folder)))
        self.assertNotEqual(made.returncode, 0)
        self.assertIn("apt-get install python3-matplotlib", made.stderr)


if __name__ == "__main__":
    unittest.main()
