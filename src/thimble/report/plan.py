"""Where every tensor lies in the arena, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thimble.report.base import Report, bytes_figure, columns, facts, short

if TYPE_CHECKING:
    from rich.console import RenderableType

CHART_COLUMNS = 36
MOST_NAMES = 6
MOST_ROWS = 60  # of the timeline; longer ones (streamed models) show the worst step of each stretch


@dataclass(frozen=True)
class RegionBytes:
    """A memory region: `bytes` of its `limit_bytes` are used."""

    name: str
    bytes: int
    limit_bytes: int


@dataclass(frozen=True)
class PlanTensor:
    """One buffer: `bytes` at `offset` of `region`, live in the steps first..last (inclusive).

    kind: input, output, tensor, ring (of a streamed tensor, whole_bytes in all), state, scratch
    or progress. writer: the layer that computes it, "" for inputs. parts: the buffers that lie in
    it where there are several: an output in the place of its input, or over what is used up of it.
    """

    name: str
    bytes: int
    offset: int
    first: int
    last: int
    region: str = "arena"
    kind: str = "tensor"
    whole_bytes: int | None = None
    writer: str = ""
    base: int = 0  # where its region begins when all regions are counted through
    parts: Sequence[PlanTensor] = ()

    @property
    def also(self) -> list[str]:
        """The names of its other parts."""
        return [part.name for part in self.parts if part.name != self.name]


def buffers_of(tensors: Sequence[PlanTensor]) -> list[PlanTensor]:
    """The parts of `tensors`, and those that have none, as they are drawn."""
    return [part for tensor in tensors for part in (tensor.parts or (tensor,))]


@dataclass(frozen=True)
class Saving:
    """The arena with one technique more than the line before, and what that saved."""

    technique: str
    arena_bytes: int
    saved_bytes: int


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
    regions: Sequence[RegionBytes] = ()  # of the arena, where it has several; the fastest first
    gap: float = 0.0  # arena_bytes / bound_bytes - 1: how far from the optimum it can be
    strategies: Mapping[str, int] = field(default_factory=dict)  # strategy -> arena bytes
    long_lived: Sequence[
        str
    ] = ()  # tensors that are live through the peak without being used in it
    savings: Sequence[Saving] = ()  # from TFLM's planner to this plan
    greedy: Sequence[PlanTensor] = ()  # TFLM's planner on the same model, nothing streamed
    greedy_bytes: int | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)

    def render(self) -> Sequence[RenderableType]:
        peak = max(self.live_bytes, default=0)
        summary = facts(
            [
                ("model", self.model),
                ("arena", bytes_figure(self.arena_bytes)),
                (
                    "lower bound",
                    f"{bytes_figure(self.bound_bytes)}"
                    + (", reached" if self.optimal else f", the arena is {self.gap:.1%} above it"),
                ),
                (
                    "regions",
                    ", ".join(f"{r.name} {r.bytes:,} of {r.limit_bytes:,}" for r in self.regions)
                    or None,
                ),
                ("state", bytes_figure(self.state_bytes) if self.state_bytes else None),
                ("strategies", ", ".join(f"{k} {v:,}" for k, v in self.strategies.items()) or None),
                ("peak", self.steps[self.peak_step] if self.steps else None),
                ("live through the peak", _names(self.long_lived)),
            ]
        )
        from thimble.report.arena import letters

        given = letters([*self.greedy, *self.tensors])
        shown = merged(self.live_bytes, self.steps)
        timeline = columns(
            ("step", "live bytes", "", "runs"),
            (
                (i, live, bar(live / peak if peak else 0, i == self.peak_step), what)
                for i, live, what in shown
            ),
            left=(2, 3),
        )
        table = columns(
            ("", "buffer", "kind", "bytes", "offset", "first", "last", "written by"),
            (
                (
                    given.get(t.name, ""),
                    short(t.name),
                    t.kind,
                    t.bytes,
                    t.offset,
                    t.first,
                    t.last,
                    t.writer or None,
                )
                for t in self.tensors
            ),
            left=(0, 1, 2, 7),
        )
        return [summary, "", *self._pictures(given), "", timeline, "", table]

    def _pictures(self, given: Mapping[str, str]) -> list[RenderableType]:
        """The arena, TFLM's beside it, and what each technique saved."""
        from thimble.report.arena import Arena, ArenaPicture

        arenas = []
        if self.greedy and self.greedy_bytes is not None:
            steps = 1 + max(t.last for t in self.greedy)
            title = f"TFLM's greedy: {self.greedy_bytes:,} bytes"
            arenas.append(Arena(title, self.greedy, steps))
        title = f"ours ({self.strategy}): {self.arena_bytes:,} bytes"
        count = max(len(self.live_bytes), 1)
        arenas.append(Arena(title, self.tensors, count, self.peak_step, self.bound_bytes))
        top = max(self.arena_bytes, self.greedy_bytes or 0)
        parts: list[RenderableType] = [ArenaPicture(arenas, top, given)]
        if len(self.savings) > 1:
            rows = (
                (s.technique, s.arena_bytes, s.saved_bytes if i else None)
                for i, s in enumerate(self.savings)
            )
            parts += ["", columns(("technique", "arena B", "saved B"), rows, left=(0,))]
        return parts


def bar(share: float, is_peak: bool) -> str:
    """A bar of up to CHART_COLUMNS columns, in eighths; the peak is marked."""
    eighths = round(8 * CHART_COLUMNS * share)
    part = " ▏▎▍▌▋▊▉"[eighths % 8].strip()
    return "█" * (eighths // 8) + part + (" ◂ peak" if is_peak else "")


def _names(names: Sequence[str]) -> str | None:
    listed = ", ".join(short(name) for name in names[:MOST_NAMES])
    more = len(names) - MOST_NAMES
    return (listed + (f" and {more} more" if more > 0 else "")) or None


def merged(live: Sequence[int], steps: Sequence[str]) -> list[tuple[int, int, str]]:
    """(step, live bytes, what runs) of every step, or of the worst one of each equal stretch."""
    stretch = -(-len(live) // MOST_ROWS) or 1
    rows = []
    for start in range(0, len(live), stretch):
        worst = max(range(start, min(start + stretch, len(live))), key=lambda i: live[i])
        rows.append((worst, live[worst], steps[worst] if steps else ""))
    return rows
