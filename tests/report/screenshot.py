"""Writes the pictures of docs/reports.md, of the pages in a headless Chromium.

PYTHONPATH=tests python tests/report/screenshot.py -o docs
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from browser import Browser
from report import pages

WIDTH = 1280
PICTURES = (  # file, report, theme, height
    ("report_build.png", "build", "light", 940),
    ("report_plan.png", "streamed", "dark", 760),
    ("report_compare.png", "quantized", "light", 940),
)


def main() -> int:
    """Take all pictures; exit status 1 where a page has a problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    problems = []
    with Browser() as browser, tempfile.TemporaryDirectory() as folder:
        for file, kind, theme, height in PICTURES:
            page = Path(folder) / "page.html"
            page.write_text(pages.report(kind).to_html(), encoding="utf-8")
            problems += browser.open(page, theme, WIDTH, height).problems
            picture = browser.screenshot()
            (arguments.output / file).write_bytes(picture)
            print(f"{file}: {len(picture):,} bytes", file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
