"""A model in parts: what each needs, what lives across several, and whether it helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thimble.report.base import Report, bytes_figure, columns, facts, short

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class SplitPart:
    """Layers first..last. `peak_bytes`: RAM of the part alone, without what lives through it."""

    index: int
    first: int
    last: int
    peak_bytes: int
    weights_bytes: int
    macs: int
    inputs: Sequence[str]
    outputs: Sequence[str]


@dataclass(frozen=True)
class LongLived:
    """A tensor written in part `first` (-1: a model input) and last read in part `last`."""

    name: str
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class SplitReport(Report):
    """`arena_bytes`: the one arena of the driver; `whole_bytes`: that of the unsplit model."""

    model: str
    arena_bytes: int
    whole_bytes: int
    largest_layer: str
    largest_layer_bytes: int  # no split can need less: its inputs, outputs and scratch
    parts: Sequence[SplitPart]
    long_lived: Sequence[LongLived]
    streamed_bytes: int | None = None
    advice: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def render(self) -> Sequence[RenderableType]:
        summary = facts(
            [
                ("model", self.model),
                ("parts", len(self.parts)),
                ("arena of the driver", bytes_figure(self.arena_bytes)),
                ("arena of the whole", bytes_figure(self.whole_bytes)),
                ("largest part alone", bytes_figure(max(p.peak_bytes for p in self.parts))),
                ("largest layer", f"{self.largest_layer}: {self.largest_layer_bytes:,} bytes"),
            ]
        )
        table = columns(
            ("part", "layers", "RAM alone", "weights", "MACs", "in", "out"),
            (
                (
                    p.index,
                    f"{p.first}..{p.last}",
                    p.peak_bytes,
                    p.weights_bytes,
                    p.macs,
                    ", ".join(short(n) for n in p.inputs),
                    ", ".join(short(n) for n in p.outputs),
                )
                for p in self.parts
            ),
            left=(5, 6),
        )
        parts: list[RenderableType] = [summary, "", table]
        if self.long_lived:
            kept = columns(
                ("long-lived tensor", "bytes", "from part", "to part"),
                ((short(t.name), t.bytes, t.first, t.last) for t in self.long_lived),
                left=(0,),
            )
            parts += ["", kept]
        return [*parts, *(f"note: {line}" for line in self.advice)]
