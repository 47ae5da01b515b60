"""How well models do on labelled data, whether they really differ, and what that cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thimble.report.base import Report, columns, facts, seconds_figure, short

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_CLASSES_SHOWN = 20

Interval = tuple[float, float]  # (low, high) of 95 % confidence


@dataclass(frozen=True)
class Latency:
    """Wall-clock time of one inference over many."""

    median: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True)
class TopK:
    """Share of the samples whose label is among the model's k best classes."""

    k: int
    accuracy: float
    interval: Interval


@dataclass(frozen=True)
class ClassFigures:
    """One class: its `samples`, how many of the answers are right (precision), how many of the
    samples are found (recall), their harmonic mean, AUC of this class against the rest.
    """

    label: int
    name: str
    samples: int
    precision: float | None
    recall: float | None
    f1: float
    auc: float | None


@dataclass(frozen=True)
class EvaluateResult:
    """One model on one runner; figures that the data cannot give are None.

    `confusion[label][prediction]` counts samples; `auc` of more than two classes is the mean of
    one against the rest; intervals are of 95 % confidence.
    """

    samples: int
    accuracy: float | None
    top5: float | None
    auc: float | None
    confusion: Sequence[Sequence[int]] | None
    latency_seconds: Latency
    cpu_percent: float | None
    peak_rss_bytes: int | None
    model: str = ""
    runner: str = ""
    task: str = ""
    accuracy_interval: Interval | None = None
    top_k: TopK | None = None
    auc_interval: Interval | None = None
    per_class: Sequence[ClassFigures] = ()
    mae: float | None = None
    mae_interval: Interval | None = None
    rmse: float | None = None
    rmse_interval: Interval | None = None
    instructions: int | None = None
    notes: Sequence[str] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluateDifference:
    """`second` less `first` in `figure` on the same samples, with its 95 % interval.

    `p`: how likely so large a difference is between equally good models (None: not tested).
    `differ`: whether the difference is more than chance, by p < 0.05 or, without p, by an interval
    without 0. `only_first` and `only_second`: samples that one alone gets right.
    """

    first: str
    second: str
    figure: str
    difference: float
    interval: Interval | None
    p: float | None
    test: str
    differ: bool
    sentence: str
    other_answers: int | None = None
    only_first: int | None = None
    only_second: int | None = None


@dataclass(frozen=True)
class EvaluateReport(EvaluateResult, Report):
    """All results of one `thimble evaluate`; the fields of `EvaluateResult` are the first one's."""

    results: Sequence[EvaluateResult] = ()
    differences: Sequence[EvaluateDifference] = ()

    def render(self) -> Sequence[RenderableType]:
        if len(self.results) > 1:
            parts = _side_by_side(self.results)
            for difference in self.differences:
                parts += ["", difference.sentence]
        else:
            parts = _single(self)
        notes = dict.fromkeys(note for r in (self, *self.results) for note in r.notes)
        return [*parts, *(f"note: {note}" for note in notes)]


def _percent(share: float | None, interval: Interval | None = None) -> str | None:
    if share is None:
        return None
    text = f"{100 * share:.2f} %"
    return (
        text if interval is None else f"{text} ({100 * interval[0]:.2f} .. {100 * interval[1]:.2f})"
    )


def _number(value: float | None, interval: Interval | None) -> str | None:
    if value is None:
        return None
    text = f"{value:.4g}"
    return text if interval is None else f"{text} ({interval[0]:.4g} .. {interval[1]:.4g})"


def _quality_rows(r: EvaluateResult) -> list[tuple[str, object]]:
    top = ("top 5", None) if r.top_k is None else (f"top {r.top_k.k}", r.top_k)
    return [
        ("accuracy", _percent(r.accuracy, r.accuracy_interval)),
        (top[0], None if r.top_k is None else _percent(r.top_k.accuracy, r.top_k.interval)),
        ("AUC", _number(r.auc, r.auc_interval)),
        ("mean absolute error", _number(r.mae, r.mae_interval)),
        ("root mean square error", _number(r.rmse, r.rmse_interval)),
    ]


def _cost_rows(r: EvaluateResult) -> list[tuple[str, object]]:
    peak = r.peak_rss_bytes
    return [
        ("latency, median", seconds_figure(r.latency_seconds.median)),
        ("latency, p95", seconds_figure(r.latency_seconds.p95)),
        ("latency, p99", seconds_figure(r.latency_seconds.p99)),
        ("instructions, median", None if r.instructions is None else f"{r.instructions:,}"),
        ("CPU", None if r.cpu_percent is None else f"{r.cpu_percent:.0f} %"),
        ("peak memory", None if peak is None else f"{peak / 2**20:.1f} MiB"),
    ]


def _single(r: EvaluateResult) -> list[RenderableType]:
    about: list[tuple[str, object]] = [
        ("model", r.model),
        ("runner", r.runner),
        ("samples", r.samples),
    ]
    parts: list[RenderableType] = [facts([*about, *_quality_rows(r), *_cost_rows(r)])]
    if 0 < len(r.per_class) <= MOST_CLASSES_SHOWN:
        rows = [
            (c.label, c.name, c.samples, *map(_percent, (c.precision, c.recall, c.f1)), c.auc)
            for c in r.per_class
        ]
        head = ("label", "name", "samples", "precision", "recall", "F1", "AUC")
        parts += ["", columns(head, rows, (0, 1))]
    if r.confusion is not None and len(r.confusion) <= MOST_CLASSES_SHOWN:
        labels = ("label", *(str(i) for i in range(len(r.confusion))))
        counts = [(str(i), *row) for i, row in enumerate(r.confusion)]
        parts += [
            "",
            "confusion (rows: labels, columns: predictions)",
            columns(labels, counts, (0,)),
        ]
    return parts


def _side_by_side(results: Sequence[EvaluateResult]) -> list[RenderableType]:
    """A table of quality and one of cost, a row for each result."""
    parts: list[RenderableType] = []
    for rows_of in (_quality_rows, _cost_rows):
        figures = [dict(rows_of(r)) for r in results]
        names = dict.fromkeys(n for row in figures for n, value in row.items() if value is not None)
        if names:
            head = (
                "model",
                "runner",
                "samples",
                *(name.replace("latency, ", "") for name in names),
            )
            rows = [
                (short(r.model.removesuffix(".tflite")), r.runner, r.samples, *map(row.get, names))
                for r, row in zip(results, figures)
            ]
            parts += ["", columns(head, rows, (0, 1))] if parts else [columns(head, rows, (0, 1))]
    return parts
