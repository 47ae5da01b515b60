"""The page of `thimble bench`: models and runners side by side, and what each layer costs."""

from __future__ import annotations

from typing import Any

from thimble.report.base import seconds_figure
from thimble.report.bench import BenchReport, BenchResult
from thimble.report.html.cost import bench_layers
from thimble.report.html.page import Page, Section, Tile
from thimble.report.html.provenance import provenance
from thimble.report.html.table import Meter, meter, table

HEAD = ("model", "runner", "instructions", "median", "p95", "ratio")
MOST_TILES = 8
MEMORY = ("arena, B", "stack, B", "code, B", "weights, B")


def page(report: BenchReport) -> Page:
    """All results, then the layers of each."""
    results = report.results
    models = list(dict.fromkeys(r.model for r in results))
    runners = list(dict.fromkeys(r.runner for r in results))
    sections = [_results(report)]
    for number, r in enumerate(results):
        if any(x.instructions is not None or x.seconds is not None for x in r.layers):
            title = f"Layers of {r.model} on {r.runner}"
            sections.append(Section(f"layers-{number}", title, bench_layers(r)))
    how = [dict(report.provenance), *(_named(r, len(models) > 1) for r in results)]
    return Page(
        "bench",
        ", ".join(models),
        f"on {', '.join(runners)}",
        [tile for r in results[:MOST_TILES] for tile in _tiles(r, len(results) == 1)],
        [*sections, *provenance(*how)],
        report.notes,
    )


def _named(result: BenchResult, is_model_named: bool) -> dict[str, str]:
    where = f"{result.model}, {result.runner}" if is_model_named else result.runner
    return {f"{what} ({where})": how for what, how in result.provenance.items()}


def _tiles(r: BenchResult, is_alone: bool) -> list[Tile]:
    memory = [
        Tile(what, f"{value:,}", "bytes", r.provenance.get(key, ""))
        for what, key, value in (
            ("arena", "arena_bytes", r.arena_bytes),
            ("stack", "stack_bytes", r.stack_bytes),
            ("code", "code_bytes", r.code_bytes),
            ("weights", "weights_bytes", r.weights_bytes),
        )
        if is_alone and value is not None
    ]
    if r.instructions is not None:
        against = ""
        if r.baseline is not None and r.instructions:
            ratio = r.baseline["instructions"] / r.instructions
            against = f"{r.baseline['peer']}: {ratio:.2f} times as many"
        count = f"{r.instructions:,}"
        return [Tile(r.runner, count, "instructions", against or r.model), *memory]
    if r.seconds is not None:
        value, _, unit = (seconds_figure(r.seconds.median) or "-").partition(" ")
        how = f"median; 95 % within {_time(r.seconds.p95)}"
        return [Tile(r.runner, value, unit, how), *memory]
    return memory


def _time(value: float | None) -> str:
    return seconds_figure(value) or "-"


def _results(report: BenchReport) -> Section:
    rows: list[tuple[Any, ...]] = []
    most = [r.instructions or 0 for r in report.results]
    most += [r.baseline["instructions"] for r in report.results if r.baseline is not None]
    slowest = max((r.seconds.median or 0 for r in report.results if r.seconds), default=0)
    for r in report.results:
        median: Meter | None = None
        p95 = None
        if r.seconds is not None:
            median = meter(r.seconds.median, slowest, shown=_time(r.seconds.median))
            p95 = seconds_figure(r.seconds.p95)
        counted = None if r.instructions is None else meter(r.instructions, max(most))
        memory = (r.arena_bytes, r.stack_bytes, r.code_bytes, r.weights_bytes)
        rows.append((r.model, r.runner, counted, median, p95, r.ratio, *memory))
        if r.baseline is not None:
            b = r.baseline
            ratio = b["instructions"] / r.instructions if r.instructions else None
            counted = meter(b["instructions"], max(most), "b")
            memory = (b["arena_bytes"], b["stack_bytes"], b["code_bytes"], b["weights_bytes"])
            rows.append((r.model, b["peer"], counted, None, None, ratio, *memory))
    head = (*HEAD, *MEMORY)
    keep = [i for i in range(len(head)) if i < 2 or any(row[i] is not None for row in rows)]
    chosen = [[row[i] for i in keep] for row in rows]
    made = table([head[i] for i in keep], chosen, (0, 1))
    lead = "Emulated cores execute instructions, which are counted; they are not time."
    return Section("results", "Results", made, lead)
