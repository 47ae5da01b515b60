"""Findings and notes as blocks of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from thimble.report.html.markup import Markup, element, prose
from thimble.report.html.page import Section


def findings(given: Sequence[Mapping[str, Any]]) -> list[Section]:
    """A section with rule, message, place and hint of each finding; none where there is none."""
    if not given:
        return []
    return [Section("findings", "Findings", Markup("".join(_finding(f) for f in given)))]


def _finding(finding: Mapping[str, Any]) -> Markup:
    severity = finding.get("severity") or "error"
    where, hint = finding.get("where"), finding.get("hint")
    return element(
        "div",
        element(
            "p",
            element("b", finding.get("rule", "")),
            " ",
            prose(str(finding.get("message") or "")),
        ),
        element("p", element("code", where), class_="hint") if where else None,
        element("p", prose(str(hint)), class_="hint") if hint else None,
        class_=f"finding {severity}",
    )
