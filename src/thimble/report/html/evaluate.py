"""The page of `thimble evaluate`: quality with its confidence, confusion, classes, cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thimble.report.base import figure, seconds_figure
from thimble.report.evaluate import EvaluateReport, EvaluateResult, Interval
from thimble.report.html.markup import Markup, element, prose
from thimble.report.html.page import Page, Section, Tile
from thimble.report.html.provenance import provenance
from thimble.report.html.table import Meter, meter, table

MOST_SHOWN = 8  # results whose confusion and classes are drawn
CONFIDENCE = "95 % confidence"


def page(report: EvaluateReport) -> Page:
    """How well the models do, and whether they really differ."""
    results: Sequence[EvaluateResult] = report.results or (report,)
    models = list(dict.fromkeys(r.model for r in results))
    runners = list(dict.fromkeys(r.runner for r in results))
    sections = []
    if len(results) > 1:
        sections += [_results(results), *_differences(report)]
    for number, r in enumerate(results[:MOST_SHOWN]):
        of = f" of {r.model} on {r.runner}" if len(results) > 1 else ""
        sections += _details(r, number, of)
    how = [
        {
            (f"{what} ({r.model}, {r.runner})" if len(results) > 1 else what): said
            for what, said in r.provenance.items()
        }
        for r in results
    ]
    return Page(
        "evaluate",
        ", ".join(models) or "model",
        f"on {', '.join(runners)}, {report.samples:,} samples",
        _tiles(report),
        [*sections, *provenance(*how)],
        list(dict.fromkeys(note for r in (report, *results) for note in r.notes)),
    )


def _share(what: str, value: float | None, interval: Interval | None) -> list[Tile]:
    if value is None:
        return []
    how = ""
    if interval is not None:
        how = f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f} %, {CONFIDENCE}"
    return [Tile(what, f"{100 * value:.2f}", "%", how)]


def _plain(what: str, value: float | None, interval: Interval | None) -> list[Tile]:
    if value is None:
        return []
    how = "" if interval is None else f"{interval[0]:.4g} to {interval[1]:.4g}, {CONFIDENCE}"
    return [Tile(what, f"{value:.4g}", "", how)]


def _tiles(r: EvaluateResult) -> list[Tile]:
    how = r.provenance
    tiles = [Tile("samples", figure(r.samples), "", how.get("data", ""))]
    tiles += _share("accuracy", r.accuracy, r.accuracy_interval)
    if r.top_k is not None:
        tiles += _share(f"top {r.top_k.k}", r.top_k.accuracy, r.top_k.interval)
    tiles += _plain("AUC", r.auc, r.auc_interval)
    tiles += _plain("mean absolute error", r.mae, r.mae_interval)
    tiles += _plain("root mean square error", r.rmse, r.rmse_interval)
    median = seconds_figure(r.latency_seconds.median)
    if median is not None:
        value, _, unit = median.partition(" ")
        p95 = seconds_figure(r.latency_seconds.p95)
        tiles.append(Tile("latency, median", value, unit, f"95 % within {p95}"))
    if r.instructions is not None:
        tiles.append(Tile("instructions, median", figure(r.instructions)))
    if r.cpu_percent is not None:
        tiles.append(Tile("CPU", f"{r.cpu_percent:.0f}", "%", how.get("cpu_percent", "")))
    if r.peak_rss_bytes is not None:
        size = f"{r.peak_rss_bytes / 2**20:,.0f}"
        tiles.append(Tile("peak memory", size, "MiB", how.get("peak_rss_bytes", "")))
    return tiles


def _results(results: Sequence[EvaluateResult]) -> Section:
    slowest = max((r.latency_seconds.median or 0 for r in results), default=0)
    rows = []
    for r in results:
        time = r.latency_seconds.median
        top = None if r.top_k is None else f"{100 * r.top_k.accuracy:.2f} %"
        rows.append(
            (
                r.model,
                r.runner,
                _percent(r.accuracy),
                _between(r.accuracy_interval, 100),
                top,
                r.auc,
                r.mae,
                r.rmse,
                None if time is None else meter(time, slowest, shown=seconds_figure(time)),
                seconds_figure(r.latency_seconds.p95),
                r.instructions,
                None if r.peak_rss_bytes is None else f"{r.peak_rss_bytes / 2**20:.0f} MiB",
            )
        )
    head = ["model", "runner", "accuracy", "95 % interval", "top k", "AUC", "MAE", "RMSE"]
    head += ["median", "p95", "instructions", "peak memory"]
    keep = [i for i in range(len(head)) if i < 2 or any(row[i] is not None for row in rows)]
    chosen = [[row[i] for i in keep] for row in rows]
    return Section("results", "Side by side", table([head[i] for i in keep], chosen, (0, 1)))


def _between(interval: Interval | None, factor: float) -> str | None:
    return None if interval is None else " to ".join(f"{factor * v:.2f}" for v in interval)


def _differences(report: EvaluateReport) -> list[Section]:
    if not report.differences:
        return []
    blocks = [
        element(
            "div",
            element("p", prose(d.sentence)),
            element("p", d.test + ("" if d.p is None else f", p = {d.p:.3g}"), class_="hint"),
            class_="finding warning" if d.differ else "finding info",
        )
        for d in report.differences
    ]
    lead = "Each against the first, on the same samples."
    return [Section("differences", "Do they really differ?", Markup("".join(blocks)), lead)]


def _details(r: EvaluateResult, number: int, of: str) -> list[Section]:
    parts = []
    names = [c.name or str(c.label) for c in r.per_class]
    if r.confusion is not None:
        lead = "Confusion: rows are labels, columns predictions; the diagonal is right."
        parts += [element("p", lead, class_="lead"), matrix(r.confusion, names)]
    if r.per_class:
        rows: list[Sequence[Any]] = [
            (c.label, c.name, c.samples, *map(_percent, (c.precision, c.recall, c.f1)), c.auc)
            for c in r.per_class
        ]
        head = ["label", "class", "samples", "precision", "recall", "F1", "AUC"]
        keep = [i for i in range(len(head)) if any(row[i] not in (None, "") for row in rows)]
        chosen = [[row[i] for i in keep] for row in rows]
        left = [k for k, i in enumerate(keep) if i < 2]
        parts += [element("br"), table([head[i] for i in keep], chosen, left)]
    return [Section(f"classes-{number}", f"Classes{of}", parts)] if parts else []


def matrix(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> Markup:
    """Counts with a shade by the share of the label's samples."""
    called = names if len(names) == len(confusion) else [str(k) for k in range(len(confusion))]
    head = [element("th", "", scope="col")]
    head += [element("th", name, scope="col", title=name) for name in called]
    lines = []
    for label, row in enumerate(confusion):
        total = sum(row) or 1
        cells = [element("th", called[label], scope="row", title=called[label])]
        for prediction, count in enumerate(row):
            tone = "--good" if label == prediction else "--bad"
            share = 12 + round(45 * count / total)
            shade = f"background:color-mix(in srgb, var({tone}) {share}%, transparent)"
            said = f"label {called[label]}, prediction {called[prediction]}: {count} of {sum(row)}"
            cells.append(
                element(
                    "td",
                    count or "",
                    class_="hit" if label == prediction else None,
                    style=shade if count else None,
                    title=said,
                )
            )
        lines.append(element("tr", cells))
    made = element(
        "table", element("thead", element("tr", head)), element("tbody", lines), class_="confusion"
    )
    return element("div", made, class_="wide")


def _percent(value: float | None) -> Meter | None:
    return None if value is None else meter(value, 1.0, shown=f"{100 * value:.1f} %")
