"""How well a model does on labelled data, and what that cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thimble.report.base import Report, bytes_figure, columns, facts, seconds_figure
from thimble.report.bench import Seconds

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class EvaluateReport(Report):
    """`confusion[label][prediction]` counts samples; figures that the data cannot give are None."""

    samples: int
    accuracy: float | None
    top5: float | None
    auc: float | None
    confusion: Sequence[Sequence[int]] | None
    latency_seconds: Seconds
    cpu_percent: float | None
    peak_rss_bytes: int | None
    model: str = ""
    runner: str = ""
    notes: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def render(self) -> Sequence[RenderableType]:
        summary = facts(
            [
                ("model", self.model),
                ("runner", self.runner),
                ("samples", self.samples),
                ("accuracy", None if self.accuracy is None else f"{100 * self.accuracy:.2f} %"),
                ("top 5", None if self.top5 is None else f"{100 * self.top5:.2f} %"),
                ("AUC", None if self.auc is None else f"{self.auc:.4f}"),
                ("latency, median", seconds_figure(self.latency_seconds.median)),
                ("latency, p95", seconds_figure(self.latency_seconds.p95)),
                ("CPU", None if self.cpu_percent is None else f"{self.cpu_percent:.0f} %"),
                ("peak memory of the process", bytes_figure(self.peak_rss_bytes)),
            ]
        )
        parts: list[RenderableType] = [summary]
        if self.confusion is not None and len(self.confusion) <= 20:
            head = ("label", *(str(i) for i in range(len(self.confusion))))
            rows = [(str(i), *row) for i, row in enumerate(self.confusion)]
            parts += [
                "",
                "confusion (rows: labels, columns: predictions)",
                columns(head, rows, (0,)),
            ]
        return [*parts, *(f"note: {note}" for note in self.notes)]
