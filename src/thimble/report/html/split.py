"""The page of a model in parts: what each needs, what lives across several, does it help."""

from __future__ import annotations

from collections.abc import Sequence

from thimble.report.base import figure
from thimble.report.html.markup import Markup
from thimble.report.html.page import Page, Section, Tile
from thimble.report.html.provenance import provenance
from thimble.report.html.table import meters, name, table
from thimble.report.split import SplitReport


def page(report: SplitReport) -> Page:
    """The parts side by side."""
    how = report.provenance
    saved = report.whole_bytes - report.arena_bytes
    said = f"{saved:,} bytes less than the whole" if saved else "as much as the whole"
    tiles = [
        Tile("parts", figure(len(report.parts))),
        Tile("arena of the driver", figure(report.arena_bytes), "bytes", said),
        Tile("arena of the whole", figure(report.whole_bytes), "bytes"),
        Tile("largest layer", figure(report.largest_layer_bytes), "bytes", report.largest_layer),
    ]
    if report.streamed_bytes is not None:
        streamed = how.get("streamed_bytes", "")
        tiles.append(Tile("streamed instead", figure(report.streamed_bytes), "bytes", streamed))
    sections = [_parts(report), *_long_lived(report), *provenance(how)]
    return Page(
        "plan", report.model, f"in {len(report.parts)} parts", tiles, sections, report.advice
    )


def _parts(report: SplitReport) -> Section:
    bars = zip(
        meters([p.peak_bytes for p in report.parts]),
        meters([p.weights_bytes for p in report.parts], "b"),
        meters([p.macs for p in report.parts]),
    )
    rows = [
        (p.index, f"{p.first} to {p.last}", *bar, _names(p.inputs), _names(p.outputs))
        for p, bar in zip(report.parts, bars)
    ]
    head = ("part", "layers", "RAM alone, B", "weights, B", "MACs", "inputs", "outputs")
    return Section("parts", "Parts", table(head, rows, (0, 1, 5, 6)))


def _names(names: Sequence[str]) -> Markup:
    return Markup(" ".join(name(n) for n in names))


def _long_lived(report: SplitReport) -> list[Section]:
    if not report.long_lived:
        return []
    bars = meters([t.bytes for t in report.long_lived])
    rows = [(name(t.name), bar, t.first, t.last) for t, bar in zip(report.long_lived, bars)]
    head = ("tensor", "bytes", "written in part", "last read in part")
    lead = "They lie in the arena while other parts run; part -1 is an input of the model."
    return [Section("long-lived", "Tensors across parts", table(head, rows), lead)]
