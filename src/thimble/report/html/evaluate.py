"""The page of `thimble evaluate`: quality, confusion, classes, cost of the run."""

from __future__ import annotations

from collections.abc import Sequence

from thimble.report.base import figure, seconds_figure
from thimble.report.evaluate import EvaluateReport
from thimble.report.html.markup import Markup, element
from thimble.report.html.page import Page, Section, Tile
from thimble.report.html.provenance import provenance
from thimble.report.html.table import meter, table


def page(report: EvaluateReport) -> Page:
    """How well the model does."""
    confusion = report.confusion
    sections = []
    if confusion is not None:
        lead = "Rows are labels, columns predictions; the diagonal is right."
        sections.append(Section("confusion", "Confusion", matrix(confusion), lead))
        sections.append(Section("classes", "Classes", classes(confusion)))
    return Page(
        "evaluate",
        report.model or "model",
        f"on {report.runner}, {report.samples:,} samples",
        _tiles(report),
        [*sections, *provenance(report.provenance)],
        report.notes,
    )


def _tiles(report: EvaluateReport) -> list[Tile]:
    how = report.provenance
    tiles = [Tile("samples", figure(report.samples), "", how.get("data", ""))]
    for what, value in (("accuracy", report.accuracy), ("top 5", report.top5)):
        if value is not None:
            tiles.append(Tile(what, f"{100 * value:.2f}", "%"))
    if report.auc is not None:
        tiles.append(Tile("AUC", f"{report.auc:.4f}"))
    median = seconds_figure(report.latency_seconds.median)
    if median is not None:
        value_, _, unit = median.partition(" ")
        p95 = seconds_figure(report.latency_seconds.p95)
        tiles.append(Tile("latency, median", value_, unit, f"95 % within {p95}"))
    if report.cpu_percent is not None:
        tiles.append(Tile("CPU", f"{report.cpu_percent:.0f}", "%", how.get("cpu_percent", "")))
    if report.peak_rss_bytes is not None:
        size = f"{report.peak_rss_bytes / 2**20:,.0f}"
        tiles.append(Tile("peak memory", size, "MiB", how.get("peak_rss_bytes", "")))
    return tiles


def matrix(confusion: Sequence[Sequence[int]]) -> Markup:
    """Counts with a shade by the share of the label's samples."""
    head = [element("th", "", scope="col")]
    head += [element("th", k, scope="col") for k in range(len(confusion))]
    lines = []
    for label, row in enumerate(confusion):
        total = sum(row) or 1
        cells = [element("th", label, scope="row")]
        for prediction, count in enumerate(row):
            tone = "--good" if label == prediction else "--bad"
            share = 12 + round(45 * count / total)
            shade = f"background:color-mix(in srgb, var({tone}) {share}%, transparent)"
            cells.append(
                element(
                    "td",
                    count or "",
                    class_="hit" if label == prediction else None,
                    style=shade if count else None,
                    title=f"label {label}, prediction {prediction}: {count} of {sum(row)}",
                )
            )
        lines.append(element("tr", cells))
    made = element(
        "table", element("thead", element("tr", head)), element("tbody", lines), class_="confusion"
    )
    return element("div", made, class_="wide")


def classes(confusion: Sequence[Sequence[int]]) -> Markup:
    """Recall and precision of each class."""
    rows = []
    for k, row in enumerate(confusion):
        right, labelled = row[k], sum(row)
        predicted = sum(other[k] for other in confusion)
        recall = right / labelled if labelled else None
        precision = right / predicted if predicted else None
        rows.append((str(k), labelled, predicted, *(_percent(v) for v in (recall, precision))))
    return table(("class", "samples", "predicted", "recall", "precision"), rows)


def _percent(value: float | None) -> object:
    return meter(value, 1.0, shown="-" if value is None else f"{100 * value:.1f} %")
