"""What `thimble build --stream-time` made: work, memory and difference against whole windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thimble.report.base import bytes_figure, facts, figure
from thimble.report.build import BuildReport

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class TimeDifference:
    """Outputs in time against those of whole windows on data.

    changed: windows in which the largest value of an output is another one.
    """

    windows: int
    values: int
    mismatched: int
    max_abs: float
    mean_abs: float
    changed: int
    source: str
    runner: str
    is_int: bool

    def sentence(self) -> str:
        """What was measured."""
        unit = " LSB" if self.is_int else ""
        return (
            f"on {self.source}: {self.mismatched} of {self.values} values differ in"
            f" {self.windows} windows, by at most {self.max_abs:.4g}{unit},"
            f" {self.mean_abs:.3g}{unit} on average; the largest output is another one in"
            f" {self.changed} windows"
        )


@dataclass(frozen=True)
class Work:
    """The cost of one new output: of a hop, or of the whole window again.

    ram_bytes: arena with state, without the stack. window: the window's own samples lie in the
    arena of a program that recomputes, so that they are counted there too.
    """

    macs: int
    instructions: int | None
    ram_bytes: int
    macs_per_second: float | None = None
    instructions_per_second: float | None = None


@dataclass(frozen=True)
class TimeReport(BuildReport):
    """A build for streaming in time. Rows are those of the model's input along time.

    history_bytes: rows that have to be known from hop to hop, the least state there can be.
    latency_rows: rows after a window's end until its outputs are there.
    """

    hop_rows: int = 0
    window_rows: int = 0
    receptive_rows: int = 0
    latency_rows: int = 0
    history_bytes: int = 0
    exact: bool = False
    rows_per_second: float | None = None
    hop: Work | None = None
    recomputing: Work | None = None
    difference: TimeDifference | None = None
    findings: Sequence[dict[str, str]] = field(default_factory=tuple)

    def render(self) -> Sequence[RenderableType]:
        rows: list[tuple[str, object]] = [
            ("window, hop", f"{self.window_rows} rows, {self.hop_rows} rows"),
            ("outputs depend on", f"{self.receptive_rows} rows"),
            ("latency", f"{self.latency_rows} rows" if self.latency_rows else None),
            (
                "history",
                f"{bytes_figure(self.history_bytes)} at least; state"
                f" {bytes_figure(self.ram.state_bytes)}",
            ),
        ]
        if self.hop is not None and self.recomputing is not None:
            rows += [
                _against(what, *(getattr(work, name) for work in (self.hop, self.recomputing)))
                for what, name in (
                    ("MACs for an output", "macs"),
                    ("instructions for an output", "instructions"),
                    ("MACs per second", "macs_per_second"),
                    ("instructions per second", "instructions_per_second"),
                    ("RAM, arena and state", "ram_bytes"),
                )
            ]
        if self.difference is not None:
            rows.append(("against whole windows", self.difference.sentence()))
        parts = [facts(rows), "", *super().render()]
        for f in self.findings:
            parts += ["", f"{f['severity']}[{f['rule']}]: {f['message']}\n  --> {f['where']}"]
            if f["hint"]:
                parts.append(f"   = hint: {f['hint']}")
        return parts


def _against(what: str, hop: float | None, window: float | None) -> tuple[str, str | None]:
    if hop is None or window is None:
        return what, None
    hop, window = round(hop), round(window)
    ratio = f", {window / hop:.1f} x less" if hop else ""
    return what, f"{figure(hop)} instead of {figure(window)}{ratio}"
