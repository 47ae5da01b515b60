"""Post-training quantization: a float model and samples in, an integer model out.

calibrate (observe ranges) -> assign (which layers, which params) -> apply (the integer graph). The
result follows TFLite's 8-bit specification, so that LiteRT and TFLM run the saved file as we do.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from thimble.errors import BadInput, Finding
from thimble.formats.data import as_dataset
from thimble.graph import Graph, Model
from thimble.ops.contract import NodeView
from thimble.passes import PIPELINE, run_passes
from thimble.passes.compact import compact
from thimble.quantize.apply import Writer
from thimble.quantize.assign import Range, assign, candidates
from thimble.quantize.calibrate import Progress, calibrate
from thimble.quantize.observe import Observed
from thimble.quantize.ranges import SMALLEST_SPAN

SCHEMES = {"int8": "int8", "int16x8": "int16"}  # scheme -> dtype of the activations
RANGES = ("percentile", "mse", "minmax")
# int8 gains by clamping rare values, int16 has steps to spare.
DEFAULT_RANGES = {"int8": "percentile", "int16x8": "minmax"}
STEPS = {"int8": 255, "int16": 65535}
Warn = Callable[[Finding], None]


def quantize(
    model: Model,
    data: Any,
    scheme: str = "int8",
    ranges: str | None = None,
    io: str | None = None,
    keep: Sequence[str] = (),
    percentile: float = 99.99,
    progress: Progress | None = None,
    warn: Warn | None = None,
) -> Model:
    """`model` with integer weights and activations, its ranges calibrated on `data`.

    data: an array [samples, ...], a dict of them by input name, samples one by one, a `Dataset`.
    scheme: "int8": weights symmetric per channel, activations asymmetric per tensor, int32 biases.
        "int16x8": the same weights, symmetric int16 activations, int64 biases.
    ranges: what activations cover; values outside are clamped. "percentile": `percentile` % of the
        values lie below the upper end, as many above the lower; "mse": the least square error;
        "minmax": everything seen. Inputs and outputs of the model always cover everything seen.
        None: "percentile" for int8, "minmax" for int16x8.
    io: dtype of the model's inputs and outputs: the scheme's own (also when None) or "float32".
    keep: names of layers or ops, or patterns such as "head_*", that stay in float.
    progress: called with (samples done, samples in all).
    warn: called with a Finding for every layer that stays in float and every activation that was
        always 0; without it they become Python warnings.

    Raises BadInput for options and data that do not fit, UnsupportedModel where a layer cannot run.
    """
    _check_options(model, scheme, ranges, io, percentile)
    ranges = ranges or DEFAULT_RANGES[scheme]
    dtype = SCHEMES[scheme]
    prepared = run_passes(model, PIPELINE)
    graph = prepared.graph
    kept = _kept(graph, model.source, keep)
    dataset = as_dataset(data, prepared)
    observed = calibrate(prepared, dataset, with_histograms=ranges != "minmax", progress=progress)
    covered = _ranges(graph, observed, ranges, percentile, STEPS[dtype])
    chosen, staying = candidates(graph, observed, dtype)
    staying.update({i: "it is in `keep`" for i in kept if i in chosen})
    chosen -= kept
    quantized = _apply(graph, chosen, staying, covered, dtype, io or dtype)
    tell = _tell if warn is None else warn
    for finding in _warnings(model.source, graph, staying, kept, observed):
        tell(finding)
    return compact(prepared.with_graph(quantized))


def _apply(
    graph: Graph,
    chosen: set[int],
    staying: dict[int, str],
    covered: dict[int, Range],
    dtype: str,
    io_dtype: str,
) -> Graph:
    """The integer graph; nodes whose integer form breaks a limit of their op move to `staying`."""
    borders = [
        t
        for t in (*graph.inputs, *graph.outputs)
        if graph.tensors[t].dtype == "float32" and not graph.tensors[t].is_constant
    ]
    while True:
        touched = borders if io_dtype != "float32" else []
        assignment = assign(graph, chosen, touched, covered, dtype)
        writer = Writer(graph, chosen, assignment, dtype, io_dtype)
        result = writer.build()
        refused = {}
        for new, old in writer.origin.items():
            view = NodeView(result, new)
            broken = next((limit for limit in view.op.limits if not limit.holds(view)), None)
            if broken is not None:
                found = broken.found(view)
                refused[old] = f"in {dtype} {broken.sentence}" + (
                    f"; found {found}" if found else ""
                )
        if not refused:
            return result
        staying.update(refused)
        chosen = chosen - set(refused)


def _check_options(
    model: Model, scheme: str, ranges: str | None, io: str | None, percentile: float
) -> None:
    findings = []

    def refuse(option: str, value: object, known: str) -> None:
        findings.append(
            Finding("option", f"{option} `{value}`", f"there is no such {option}", f"use {known}")
        )

    if scheme not in SCHEMES:
        refuse("scheme", scheme, ", ".join(SCHEMES))
    if ranges not in (None, *RANGES):
        refuse("ranges", ranges, ", ".join(RANGES))
    own = SCHEMES.get(scheme, "int8")
    if io not in (None, own, "float32"):
        refuse("io", io, f"{own} or float32")
    if not 50 < percentile <= 100:
        refuse("percentile", percentile, "more than 50, at most 100")
    integers = [
        t.name
        for t in model.graph.tensors
        if t.dtype in ("int8", "uint8", "int16") and t.quant is not None and not t.is_constant
    ]
    if integers:
        findings.append(
            Finding(
                "already-quantized",
                model.source,
                f"{len(integers)} tensors are integers already, the first is `{integers[0]}`",
                "quantize the float model that it was made from",
            )
        )
    if findings:
        raise BadInput(findings)


def _kept(graph: Graph, source: str, keep: Sequence[str]) -> set[int]:
    """The nodes that `keep` names. Raises BadInput for names that fit none."""
    names = {
        i: {graph.layer_name(i), node.op.name, *(graph.tensors[t].name for t in node.outputs)}
        for i, node in enumerate(graph.nodes)
    }
    kept: set[int] = set()
    findings = []
    for pattern in [keep] if isinstance(keep, str) else keep:
        fitting = {i for i, own in names.items() if any(fnmatchcase(n, pattern) for n in own)}
        if not fitting:
            near = get_close_matches(pattern, sorted(set().union(*names.values())), 3, 0.4)
            hint = f"did you mean {', '.join(near)}?" if near else "see `thimble inspect`"
            findings.append(Finding("keep", source, f"no layer or op is called `{pattern}`", hint))
        kept |= fitting
    if findings:
        raise BadInput(findings)
    return kept


def _ranges(
    graph: Graph, observed: dict[int, Observed], method: str, percentile: float, steps: int
) -> dict[int, Range]:
    """[low, high] of every float tensor: constants as they are, the others as observed."""
    ports = {*graph.inputs, *graph.outputs}  # what the caller gives and gets is not ours to clamp
    covered: dict[int, Range] = {}
    for t, tensor in enumerate(graph.tensors):
        if tensor.dtype != "float32":
            continue
        if tensor.data is not None:
            low, high = tensor.data.min(initial=0), tensor.data.max(initial=0)
            covered[t] = (float(low), float(high))
        elif t in observed:
            covered[t] = observed[t].range("minmax" if t in ports else method, percentile, steps)
    return covered


def _warnings(
    source: str,
    graph: Graph,
    staying: dict[int, str],
    kept: set[int],
    observed: dict[int, Observed],
) -> list[Finding]:
    """What the user should know: layers that stay in float, activations that are always zero."""
    findings = [
        Finding(
            "kept-float",
            f"{source}, {graph.layer(i)}",
            f"stays in float32: {reason}",
            "it runs in float between a DEQUANTIZE and a QUANTIZE",
            "warning",
        )
        for i, reason in sorted(staying.items())
        if i not in kept
    ]
    for i, node in enumerate(graph.nodes):
        for t in node.outputs:
            seen = observed.get(t)
            if seen is None or not seen.is_finite or seen.low > seen.high:
                continue
            if max(seen.high, 0.0) - min(seen.low, 0.0) < SMALLEST_SPAN:
                findings.append(
                    Finding(
                        "dead-activation",
                        f"{source}, {graph.layer(i)}",
                        f"`{graph.tensors[t].name}` was 0 on all samples",
                        "calibrate with samples that excite this layer, scaled as in training",
                        "warning",
                    )
                )
    return findings


def _tell(finding: Finding) -> None:
    warnings.warn(str(finding), stacklevel=3)


__all__ = ["RANGES", "SCHEMES", "quantize"]
