"""Latency on this machine, instructions, RAM and code on emulated ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from thimble.report.base import DRAWN, Report, columns, seconds_figure, short

if TYPE_CHECKING:
    from rich.console import RenderableType

    from thimble.graph import Graph


@dataclass(frozen=True)
class Seconds:
    """Wall-clock time of one inference over many."""

    median: float | None
    p95: float | None


@dataclass(frozen=True)
class BenchLayer:
    """One layer's share: executed instructions on a target, seconds on this machine."""

    index: int
    op: str
    name: str
    instructions: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class BenchResult:
    """One model on one runner. Emulated targets count `instructions`; they have no seconds."""

    model: str
    runner: str
    target: str | None
    instructions: int | None = None
    seconds: Seconds | None = None
    arena_bytes: int | None = None
    state_bytes: int | None = None
    stack_bytes: int | None = None
    code_bytes: int | None = None
    weights_bytes: int | None = None
    output_sha256: str | None = None
    layers: Sequence[BenchLayer] = ()
    ratio: float | None = None  # of the median to the first host runner's, measured in turns
    baseline: Mapping[str, Any] | None = None  # a peer's figures for the same model and core
    provenance: Mapping[str, str] = field(default_factory=dict)
    graph: Graph | None = field(default=None, repr=False, compare=False, metadata=DRAWN)


@dataclass(frozen=True)
class BenchReport(Report):
    """All results of one `thimble bench`."""

    results: Sequence[BenchResult]
    notes: Sequence[str] = ()
    show_layers: bool = False
    provenance: Mapping[str, str] = field(default_factory=dict)

    def render(self) -> Sequence[RenderableType]:
        head = ("model", "runner", "instructions", "median", "p95", "ratio")
        memory = ("arena B", "stack B", "code B", "weights B")
        rows: list[tuple[object, ...]] = []
        for r in self.results:
            seconds = r.seconds or Seconds(None, None)
            rows.append(
                (
                    short(r.model.removesuffix(".tflite")),
                    r.runner,
                    r.instructions,
                    seconds_figure(seconds.median),
                    seconds_figure(seconds.p95),
                    r.ratio,
                    r.arena_bytes,
                    r.stack_bytes,
                    r.code_bytes,
                    r.weights_bytes,
                )
            )
            if r.baseline is not None:
                b = r.baseline
                rows.append(
                    (
                        "",
                        b["peer"],
                        b["instructions"],
                        None,
                        None,
                        None if not r.instructions else b["instructions"] / r.instructions,
                        b["arena_bytes"],
                        b["stack_bytes"],
                        b["code_bytes"],
                        b["weights_bytes"],
                    )
                )
        parts: list[RenderableType] = [columns((*head, *memory), rows, left=(0, 1))]
        if self.show_layers:
            for r in self.results:
                if r.layers:
                    parts += ["", f"{r.model} on {r.runner}", _layers(r)]
        return [*parts, *(f"note: {note}" for note in self.notes)]


def _layers(result: BenchResult) -> RenderableType:
    total = sum(x.instructions or 0 for x in result.layers)
    return columns(
        ("layer", "op", "name", "instructions", "share", "time"),
        (
            (
                x.index,
                x.op,
                short(x.name),
                x.instructions,
                f"{100 * x.instructions / total:.1f} %" if total and x.instructions else None,
                seconds_figure(x.seconds),
            )
            for x in result.layers
        ),
        left=(1, 2),
    )
