"""The page of `thimble repair`: what was mended, where, and what every runner computes now."""

from __future__ import annotations

from thimble.report.base import figure
from thimble.report.html.markup import Markup, element, prose
from thimble.report.html.page import Page, Section, Tile
from thimble.report.html.provenance import provenance
from thimble.report.html.table import table
from thimble.report.repair import RepairCheck, RepairReport

MOST_OPEN = 8  # layers of one repair that are shown unfolded


def page(report: RepairReport) -> Page:
    """What was repaired."""
    sections = []
    if report.repairs:
        blocks = [_repair(r.name, r.mends, r.bound, list(r.layers)) for r in report.repairs]
        sections.append(Section("repairs", "Repairs", Markup("".join(blocks))))
    if report.verification:
        sections.append(_verification(report))
    notes = [f"{row.runner}: {row.note}" for row in report.verification if row.note]
    tiles = [Tile("repairs", figure(len(report.repairs)), "", report.output or "")]
    if report.repairs:
        passed = sum(row.passed for row in report.verification)
        how = f"{report.samples} samples: {report.provenance.get('data', '')}"
        tiles += [
            Tile("layers", f"{report.layers_before} → {report.layers_after}"),
            Tile("verified", f"{passed} of {len(report.verification)}", "runners", how),
        ]
        if report.bytes_before is not None and report.bytes_after is not None:
            size = f"{report.bytes_before:,} → {report.bytes_after:,}"
            tiles.append(Tile("file", size, "bytes"))
    subtitle = "" if report.repairs else "nothing to repair"
    return Page(
        "repair", report.model, subtitle, tiles, [*sections, *provenance(report.provenance)], notes
    )


def _repair(name: str, mends: str, bound: str, layers: list[str]) -> Markup:
    lines = [element("p", prose(layer), class_="hint") for layer in layers]
    more = lines[MOST_OPEN:]
    return element(
        "div",
        element("h3", name, " ", element("small", bound)),
        element("p", prose(mends)),
        lines[:MOST_OPEN],
        element("details", element("summary", f"{len(more)} more"), more) if more else None,
        class_="finding info",
    )


def _verification(report: RepairReport) -> Section:
    rows = [
        (
            row.runner,
            row.before_max_abs,
            row.before_max_lsb,
            row.before_mismatched,
            row.after_max_abs,
            row.after_max_lsb,
            row.after_mismatched,
            _result(row),
        )
        for row in report.verification
    ]
    head = ("runner", "before: max abs", "LSB", "differing", "after: max abs", "LSB", "differing")
    lead = "Outputs of each runner next to what the original means, before and after."
    return Section("verified", "Verified", table((*head, "result"), rows, (0, 7)), lead)


def _result(row: RepairCheck) -> Markup:
    if row.passed:
        return element("span", "as the original means", class_="good")
    what = "does not run it" if row.after_max_abs is None else "differs, as before"
    return element("span", what, class_="warn")
