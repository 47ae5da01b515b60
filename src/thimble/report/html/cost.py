"""What layers cost, as tables with the graph beside them: for benches and builds."""

from __future__ import annotations

from thimble.report.base import seconds_figure
from thimble.report.bench import BenchResult
from thimble.report.build import BuildLayer, BuildReport
from thimble.report.html.layers import CONSTANTS, HEAD, HEAD_LEFT, graph_rows, layer_table
from thimble.report.html.markup import Markup, element
from thimble.report.html.table import meter, meters


def bench_layers(result: BenchResult) -> Markup:
    """Instructions or seconds of each layer and its share of them."""
    counted = [x.instructions for x in result.layers]
    timed = [x.seconds for x in result.layers]
    is_counted = any(v is not None for v in counted)
    values: list[float | None] = list(counted) if is_counted else list(timed)
    total = sum(v for v in values if v is not None)
    largest = max((v for v in values if v is not None), default=0)
    cells = {}
    for x, value in zip(result.layers, values):
        shown = None if is_counted or value is None else seconds_figure(float(value))
        share = f"{value / total:.1%}" if value is not None and total else None
        cells[id(x)] = (meter(value, largest, shown=shown), share)
    rows = graph_rows(result.graph, result.layers, lambda x: cells[id(x)], 2, constants=True)
    return layer_table(
        (*HEAD, CONSTANTS, "instructions" if is_counted else "time", "share"), rows, HEAD_LEFT
    )


def build_layers(report: BuildReport) -> Markup:
    """Kernel, MACs, constants and output bytes of each layer."""
    bars = zip(
        meters([x.macs for x in report.layers]),
        meters([x.weights_bytes for x in report.layers], "b"),
        meters([x.output_bytes for x in report.layers]),
    )
    cells = {id(x): (_kernel(x), *bar) for x, bar in zip(report.layers, bars)}
    rows = graph_rows(report.graph, report.layers, lambda x: cells[id(x)], 4)
    head = (*HEAD, "kernel", "MACs", "weights, B", "output, B")
    return layer_table(head, rows, (*HEAD_LEFT, 2))


def _kernel(layer: BuildLayer) -> Markup:
    if not layer.kernel:
        return element("span", "shares memory")
    code = element("code", layer.kernel.removeprefix("thm_"))
    return code if layer.specialised else element("span", code, " shared")
