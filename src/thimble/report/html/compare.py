"""The page of `thimble compare`: error layer by layer, and how the values of both are spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thimble.report.base import figure, short
from thimble.report.compare import Cause, CompareLayer, CompareReport, Spread
from thimble.report.html.histogram import ends, picture
from thimble.report.html.layers import HEAD, HEAD_LEFT, graph_rows, layer_table
from thimble.report.html.markup import Markup, element, prose
from thimble.report.html.page import Page, Section, Tile
from thimble.report.html.provenance import provenance
from thimble.report.html.table import Meter, facts, meters, name

MOST_CARDS = 240
HINTS = {
    "max LSB": "largest difference in steps of B's scale",
    "introduced": "what the layer of B adds, given B's inputs (blue); orange: what came with them",
    "SQNR, dB": "10 log10(sum a² / sum (a − b)²); nothing where equal",
}


def page(report: CompareReport) -> Page:
    """How far B is from A."""
    sections = [*_causes(report), _layers(report), *_spreads(report), *_alone(report)]
    return Page(
        "compare",
        f"{report.b} against {report.a}",
        f"{report.samples:,} samples",
        _tiles(report),
        [*sections, *provenance(report.provenance)],
        report.notes,
    )


def _causes(report: CompareReport) -> list[Section]:
    if not report.causes:
        return []
    groups: dict[tuple[str, str], list[Cause]] = {}
    for cause in report.causes:
        groups.setdefault((cause.rule, cause.hint), []).append(cause)
    known = {x.index for x in report.layers}
    blocks = [_same_cause(group, known) for group in groups.values()]
    lead = "Best first: the rule, what it found, and what to do."
    return [Section("causes", "Why they differ", blocks, lead)]


def _same_cause(causes: Sequence[Cause], known: set[int]) -> Markup:
    first, more = causes[0], causes[1:]
    places = [_found(cause, known) for cause in more]
    mend = f"thimble repair: {first.repair}" if first.repair else ""
    return element(
        "div",
        element("h3", first.rule),
        _found(first, known),
        element("details", element("summary", f"{len(more)} more"), places) if more else None,
        element("p", prose(first.hint), class_="hint") if first.hint else None,
        element("p", mend, class_="hint") if mend else None,
        class_="finding" + ("" if first.proof == "shown" else " info"),
    )


def _found(cause: Cause, known: set[int]) -> Markup:
    where: Any = "the inputs"
    if cause.index >= 0:
        where = f"layer {cause.index} {cause.op}"
        if cause.index in known:
            where = element("a", where, href=f"#layer-{cause.index}")
        where = [where, " ", name(cause.name)]
    found = element("p", "found: ", prose(cause.evidence), class_="hint") if cause.evidence else ""
    return Markup(element("p", prose(cause.message)) + element("p", where) + found)


def _tiles(report: CompareReport) -> list[Tile]:
    first = report.first_divergence
    if report.equal and first is None and not report.max_abs:
        result = Tile("result", "equal", "", "every compared value is the same", "good")
    elif report.equal:
        how = f"within {report.tolerance_lsb:g} LSB" if report.tolerance_lsb else "within tolerance"
        result = Tile("result", "equal", "", how, "good")
    else:
        apart = sum(1 for x in report.layers if x.max_abs)
        how = f"{apart} of {len(report.layers)} layers are apart"
        result = Tile("result", "different", "", how, "bad")
    tiles = [result]
    if report.max_abs_lsb is not None:
        tiles.append(Tile("largest difference", f"{report.max_abs_lsb:,.6g}", "LSB", "any layer"))
    tiles.append(Tile("largest difference", figure(report.max_abs), "", "in real values"))
    if first is not None:
        where = f"{first.op} {short(first.name)}"
        tiles.append(Tile("first divergence", f"layer {first.index}", "", where))
    tiles.append(Tile("samples", figure(report.samples), "", report.provenance.get("data", "")))
    return tiles


def _layers(report: CompareReport) -> Section:
    layers = report.layers
    first = report.first_divergence
    whole = max(((x.introduced or 0) + (x.inherited or 0) for x in layers), default=0)
    lsb = meters([x.max_lsb for x in layers])
    floats = all(x.max_lsb is None for x in layers)
    plain = meters([x.max_abs for x in layers]) if floats else [x.max_abs for x in layers]
    cells: dict[int, tuple[Any, ...]] = {}
    real: Any
    for x, steps, real in zip(layers, lsb, plain):
        parts = [
            ((part or 0) / whole if whole else 0.0, tone)
            for part, tone in ((x.introduced, ""), (x.inherited, "b"))
        ]
        said = f"introduced {figure(x.introduced)}, inherited {figure(x.inherited)}"
        split = None if x.introduced is None else Meter(x.introduced, parts, hint=said)
        cells[id(x)] = (steps, real, x.mean_abs, x.sqnr_db, x.mismatched, split)
    head = ["max LSB", "max abs", "mean abs", "SQNR, dB", "differing", "introduced"]
    keep = [0, 1, 2, 3, 4, 5]
    if floats:
        keep.remove(0)
    if all(x.introduced is None for x in layers):
        keep.remove(5)

    def chosen(x: CompareLayer) -> Sequence[Any]:
        return [cells[id(x)][i] for i in keep]

    drawn = {id(x) for x, _ in _shown(report)[:MOST_CARDS]}
    rows = graph_rows(
        report.graph,
        layers,
        chosen,
        len(keep),
        link=lambda x: f"#range-{x.index}" if id(x) in drawn else "",
    )
    titles = [*HEAD, *(head[i] for i in keep)]
    lead = "Layers of B beside their counterparts in A, over all samples."
    if 5 in keep:
        lead += " Blue: introduced by the layer itself; orange: inherited from what feeds it."
    if first is not None:
        lead += f" The two part first in layer {first.index}, {first.op}."
    return Section("layers", "Error by layer", layer_table(titles, rows, HEAD_LEFT, HINTS), lead)


def _spreads(report: CompareReport) -> list[Section]:
    shown = _shown(report)
    if not shown:
        return []
    cards = [_card(x, spread) for x, spread in shown[:MOST_CARDS]]
    legend = element(
        "ul",
        element("li", f"A: {report.a}", style="--swatch:var(--bar)"),
        element("li", f"B: {report.b}", class_="line", style="--swatch:var(--b)"),
        class_="key",
    )
    body = Markup(element("div", cards, class_="cards") + legend)
    lead = "How often each value occurs (the height is the square root of the count)."
    return [Section("ranges", "Ranges of activations", body, lead)]


def _shown(report: CompareReport) -> list[tuple[CompareLayer, Spread]]:
    by_name = {x.name: x for x in report.layers}
    return [(x, report.spreads[n]) for n, x in by_name.items() if n in report.spreads]


def _card(layer: CompareLayer, spread: Spread) -> Markup:
    link = element("a", f"{layer.index} {layer.op}", href=f"#layer-{layer.index}")
    ranges = [f"{figure(low)} to {figure(high)}" for low, high in (spread.range_a, spread.range_b)]
    same = ranges[0] == ranges[1]
    said = f"A and B {ranges[0]}" if same else f"A {ranges[0]}; B {ranges[1]}"
    return element(
        "div",
        element("h3", link, " ", layer.name, title=layer.name),
        element("p", said),
        picture(spread.low, spread.high, spread.a, spread.b),
        ends(spread.low, spread.high),
        class_="card",
        id=f"range-{layer.index}",
    )


def _alone(report: CompareReport) -> list[Section]:
    rows = [
        (f"only in {side}", ", ".join(names) or None)
        for side, names in (("A", report.only_in_a), ("B", report.only_in_b))
    ]
    if not (report.only_in_a or report.only_in_b):
        return []
    return [Section("unmatched", "Tensors without a partner", facts(rows))]
