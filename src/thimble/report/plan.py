"""Where every tensor lies in the arena, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thimble.report.base import Report, bytes_figure, columns, facts, short

if TYPE_CHECKING:
    from rich.console import RenderableType

CHART_COLUMNS = 48


@dataclass(frozen=True)
class PlanTensor:
    """One buffer: `bytes` at `offset` of `region`, live in the steps first..last (inclusive)."""

    name: str
    bytes: int
    offset: int
    first: int
    last: int
    region: str = "arena"


@dataclass(frozen=True)
class PlanReport(Report):
    """The memory of one model. `peak_step` is the step with the most live bytes."""

    arena_bytes: int
    bound_bytes: int
    optimal: bool
    strategy: str
    state_bytes: int
    tensors: Sequence[PlanTensor]
    peak_step: int
    model: str = ""
    steps: Sequence[str] = ()  # what runs in each step
    live_bytes: Sequence[int] = ()  # live bytes of each step
    strategies: Mapping[str, int] = field(default_factory=dict)  # strategy -> arena bytes
    long_lived: Sequence[
        str
    ] = ()  # tensors that are live through the peak without being used in it
    provenance: Mapping[str, str] = field(default_factory=dict)

    def render(self) -> Sequence[RenderableType]:
        peak = max(self.live_bytes, default=0)
        summary = facts(
            [
                ("model", self.model),
                ("arena", bytes_figure(self.arena_bytes)),
                (
                    "lower bound",
                    f"{bytes_figure(self.bound_bytes)}" + (", reached" if self.optimal else ""),
                ),
                ("state", bytes_figure(self.state_bytes) if self.state_bytes else None),
                ("strategies", ", ".join(f"{k} {v:,}" for k, v in self.strategies.items()) or None),
                ("peak", self.steps[self.peak_step] if self.steps else None),
                ("live through the peak", ", ".join(self.long_lived) or None),
            ]
        )
        timeline = columns(
            ("step", "live bytes", "", "runs"),
            (
                (i, live, "#" * round(CHART_COLUMNS * live / peak) if peak else "", what)
                for i, (live, what) in enumerate(zip(self.live_bytes, self.steps))
            ),
            left=(2, 3),
        )
        table = columns(
            ("tensor", "bytes", "offset", "first", "last", "region"),
            ((short(t.name), t.bytes, t.offset, t.first, t.last, t.region) for t in self.tensors),
            left=(0, 5),
        )
        return [summary, "", timeline, "", table]
