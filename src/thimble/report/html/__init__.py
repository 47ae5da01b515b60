"""Reports as pages: one HTML file each, without network, in light and dark, for screen and paper.

A kind of report has a file here with a function `page(report) -> Page`; reports without one are
laid out by `anything`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from thimble.report.html.page import Page, document, frame

if TYPE_CHECKING:
    from thimble.report.base import Report

KINDS = {  # report class -> the file that knows it
    "InspectReport": "inspect",
    "CompareReport": "compare",
    "PlanReport": "plan",
    "BenchReport": "bench",
    "BuildReport": "build",
    "EvaluateReport": "evaluate",
    "CheckReport": "check",
    "RepairReport": "repair",
    "SplitReport": "split",
}


def page_of(report: Report) -> Page:
    """The page of any report: by its class, else the nearest class above that has a file."""
    file = next(
        (KINDS[c.__name__] for c in type(report).__mro__ if c.__name__ in KINDS), "anything"
    )
    made = importlib.import_module(f"thimble.report.html.{file}").page(report)
    assert isinstance(made, Page)
    return made


def to_html(report: Report) -> str:
    """The whole file."""
    return document(page_of(report))


def notebook(report: Report) -> str:
    """The page in a frame, for `_repr_html_`."""
    return frame(page_of(report))
