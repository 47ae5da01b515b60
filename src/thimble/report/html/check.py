"""The page of `thimble check`: findings under their rules, changes, figures that were judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from thimble.report.base import figure
from thimble.report.check import CheckReport
from thimble.report.html.markup import Markup, element, prose
from thimble.report.html.page import Page, Section, Tile
from thimble.report.html.provenance import provenance
from thimble.report.html.table import facts, table

MOST_OPEN = 8  # findings of one rule that are shown unfolded
SAME = {True: "yes", False: "no", None: "not known"}


def page(report: CheckReport) -> Page:
    """Whether the model keeps the rules."""
    rules = f"{len(report.rules)} rules, {report.policy}" if report.rules else report.policy
    sections = [*_findings(report), *_changes(report)]
    if report.rules:
        names = element("p", [[element("code", rule), " "] for rule in report.rules])
        body = element("details", element("summary", f"{len(report.rules)} rules"), names)
        sections.append(Section("rules", "Rules", body, report.policy))
    return Page(
        "check", report.model, rules, _tiles(report), [*sections, *provenance(report.provenance)]
    )


def _tiles(report: CheckReport) -> list[Tile]:
    how = report.provenance
    tiles = [
        Tile("errors", figure(report.errors), tone="bad" if report.errors else "good"),
        Tile("warnings", figure(report.warnings), tone="warn" if report.warnings else "good"),
    ]
    if report.like:
        same = SAME[report.same_function]
        tone = {True: "good", False: "bad", None: ""}[report.same_function]
        tiles.append(Tile(f"same function as {report.like}", same, "", report.function, tone))
    if report.macs is not None:
        tiles.append(Tile("multiply-accumulates", figure(report.macs), "", how.get("macs", "")))
    for what, key, value in (
        ("arena", "arena_bytes", report.arena_bytes),
        ("constants", "weights_bytes", report.weights_bytes),
        ("file", "file_bytes", report.file_bytes),
    ):
        if value is not None:
            tiles.append(Tile(what, figure(value), "bytes", how.get(key, "")))
    return tiles


def _findings(report: CheckReport) -> list[Section]:
    if not report.findings:
        return [Section("findings", "Findings", facts([("findings", "none")]))]
    groups: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for finding in report.findings:
        groups.setdefault((finding["severity"], finding["rule"]), []).append(finding)
    ordered = sorted(groups.items(), key=lambda item: item[0][0])
    blocks = [_group(severity, rule, found) for (severity, rule), found in ordered]
    return [Section("findings", "Findings", Markup("".join(blocks)))]


def _group(severity: str, rule: str, found: Sequence[Mapping[str, str]]) -> Markup:
    lines = [
        element("p", prose(f["message"]), " ", element("code", f["where"], class_="where"))
        for f in found
    ]
    more = lines[MOST_OPEN:]
    rest = element("details", element("summary", f"{len(more)} more"), more) if more else None
    hint = found[0].get("hint")
    return element(
        "div",
        element("h3", rule, " ", element("small", severity)),
        lines[:MOST_OPEN],
        rest,
        element("p", prose(hint), class_="hint") if hint else None,
        class_=f"finding {severity}",
    )


def _changes(report: CheckReport) -> list[Section]:
    if not report.changes:
        return []
    rows = [
        (c.rule, c.layer, c.base_layer, prose(c.message), prose(c.where)) for c in report.changes
    ]
    head = ("rule", "layer", "layer of the base", "change", "where")
    lead = f"Against {report.like or report.lock or 'the base'}."
    return [Section("changes", "Changes", table(head, rows, (0, 3, 4), class_="loose"), lead)]
