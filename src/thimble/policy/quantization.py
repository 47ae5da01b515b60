"""Rules on quantization: what the integer kernels take for granted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from thimble import ops
from thimble.graph import Graph, Tensor
from thimble.invariants import layer_place
from thimble.ops.contract import NodeView, QuantRule
from thimble.policy.contract import (
    Rule,
    Settings,
    Subject,
    Violation,
    is_float,
    is_integer,
    place_of,
)

EQUAL = 1e-6  # relative: the last bits of a float32 scale
BORDERS = ("QUANTIZE", "DEQUANTIZE")
SHOWN = 6  # layers of an island that are named


def _rule(view: NodeView) -> QuantRule | None:
    op = ops.find(view.op.name)
    return None if op is None else op.quant


def _fully_integer(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for prefix, graph in subject.graphs():
        computed = {t for node in graph.nodes for t in node.outputs}
        for t in sorted(computed | set(graph.inputs) | set(graph.outputs)):
            tensor = graph.tensors[t]
            if is_float(tensor) and not tensor.is_constant:
                yield place_of(prefix, graph, t), f"is {tensor.dtype}"


def _islands(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for prefix, graph in subject.graphs():
        for island in float_islands(graph):
            names = ", ".join(f"{i} {graph.nodes[i].op.name}" for i in island[:SHOWN])
            more = f" and {len(island) - SHOWN} more" if len(island) > SHOWN else ""
            found = f"layers {names}{more} compute in float between integer layers"
            yield prefix + layer_place(graph, island[0]), found


def float_islands(graph: Graph) -> list[list[int]]:
    """Groups of float layers whose values come from an integer layer and go back to one."""
    from_integer: set[int] = set()
    members: list[int] = []
    for i, node in enumerate(graph.nodes):
        runtime = [t for t in node.inputs if t >= 0 and not graph.tensors[t].is_constant]
        floats = [t for t in node.outputs if is_float(graph.tensors[t])]
        if node.op.name == "DEQUANTIZE" and runtime:
            from_integer.update(floats)
        elif floats and any(t in from_integer for t in runtime):
            from_integer.update(floats)
            members.append(i)
    to_integer: set[int] = set()
    found: list[int] = []
    for i in reversed(range(len(graph.nodes))):
        node = graph.nodes[i]
        runtime = [t for t in node.inputs if t >= 0 and is_float(graph.tensors[t])]
        if node.op.name == "QUANTIZE":
            to_integer.update(runtime)
        elif any(t in to_integer for t in node.outputs):
            to_integer.update(runtime)
            if node.op.name not in BORDERS:
                found.append(i)
    inside = sorted(set(members) & set(found))
    return _connected(graph, inside)


def _connected(graph: Graph, layers: list[int]) -> list[list[int]]:
    """`layers` in groups that exchange tensors, in order."""
    group: dict[int, int] = {}  # layer -> first layer of its group
    made: dict[int, int] = {}
    groups: dict[int, list[int]] = {}
    for i in layers:
        node = graph.nodes[i]
        roots = sorted({group[made[t]] for t in node.inputs if t in made})
        root = roots[0] if roots else i
        merged = [i]
        for other in roots[1:]:
            merged += groups.pop(other)
        groups.setdefault(root, []).extend(merged)
        for j in merged:
            group[j] = root
        made.update((t, i) for t in node.outputs)
    return [sorted(group) for _, group in sorted(groups.items())]


def _hybrid(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for place, view in subject.layers:
        rule = _rule(view)
        for k in rule.weights if rule else ():
            if view.has(k) and view.has(0) and is_float(view.x()) and is_integer(view.x(k)):
                yield place, f"weights {view.x(k).dtype} with {view.x().dtype} activations"


def _symmetric(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for place, view in subject.layers:
        rule = _rule(view)
        if rule is None or not view.has(0) or view.x().dtype == "uint8":
            continue  # the legacy uint8 scheme has weights with a zero point
        roles = [(k, "weights") for k in rule.weights]
        roles += [(rule.bias, "bias")] if rule.bias is not None else []
        for k, role in roles:
            if not view.has(k) or not is_integer(view.x(k)):
                continue
            quant = view.x(k).quant
            if quant is not None and quant.zero_point.any():
                worst = int(quant.zero_point[np.flatnonzero(quant.zero_point)[0]])
                yield place, f"{role} `{view.x(k).name}` have zero point {worst}"


def _bias_scale(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for place, view in subject.layers:
        rule = _rule(view)
        if rule is None or rule.bias is None or not rule.weights or not view.has(rule.bias):
            continue
        bias, weights, x = view.x(rule.bias), view.inputs[next(iter(rule.weights))], view.inputs[0]
        if weights is None or x is None or not is_integer(bias):
            continue
        scales = [t.quant.scale for t in (x, weights, bias) if t.quant is not None]
        if len(scales) < 3 or any(len(scale) == 0 for scale in scales):
            continue
        wanted = scales[0].astype(np.float64)[:1] * scales[1].astype(np.float64)
        if len(scales[2]) not in (1, len(wanted)):
            continue
        with np.errstate(all="ignore"):
            apart = np.abs(scales[2].astype(np.float64) / wanted - 1)
        if bias.data is not None and bias.data.size == len(apart):
            apart = np.where(bias.data.reshape(-1) == 0, 0.0, apart)  # zero at any scale
        if (apart > settings.bias_scale_tolerance).any():
            c = int(np.argmax(np.nan_to_num(apart)))
            given = float(scales[2][min(c, len(scales[2]) - 1)])
            found = f"bias scale {given:.6g} where input x weight scale is {wanted[c]:.6g}"
            yield (
                place,
                f"{found}, {float(apart[c]) * 100:.3g} % apart"
                + (f" in channel {c}" if len(wanted) > 1 else ""),
            )


def _used(graph: Graph) -> set[int]:
    used = {*graph.inputs, *graph.outputs}
    for node in graph.nodes:
        used.update(node.inputs)
        used.update(node.outputs)
    return {t for t in used if t >= 0}


def _sane(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for prefix, graph in subject.graphs():
        for t in sorted(_used(graph)):
            tensor = graph.tensors[t]
            if tensor.quant is None or not is_integer(tensor) or not len(tensor.quant.scale):
                continue
            scale = np.abs(tensor.quant.scale.astype(np.float64))
            for wrong, what in (
                (scale == 0, "zero"),
                ((scale > 0) & (scale < settings.smallest_scale), "too small"),
                (scale > settings.largest_scale, "too large"),
            ):
                if wrong.any():
                    c = int(np.flatnonzero(wrong)[0])
                    several = f" of {int(wrong.sum())} of {len(scale)} channels, first {c}"
                    which = several if len(scale) > 1 else ""
                    yield place_of(prefix, graph, t), f"scale {scale[c]:.4g} is {what}{which}"


def _same(a: Tensor, b: Tensor) -> bool:
    if a.quant is None or b.quant is None or len(a.quant.scale) != 1 or len(b.quant.scale) != 1:
        return a.quant is None or b.quant is None or a.quant.same_as(b.quant)
    x, y = float(a.scale), float(b.scale)
    return abs(x - y) <= EQUAL * max(abs(x), abs(y)) and a.zero_point == b.zero_point


def _params(tensor: Tensor) -> str:
    if tensor.quant is None or len(tensor.quant.scale) != 1:
        return "several scales"
    return f"scale {float(tensor.scale):.6g}, zero point {tensor.zero_point}"


def _equal_scales(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for place, view in subject.layers:
        rule = _rule(view)
        if rule is None or rule.output != "same":
            continue
        inputs = range(len(view.inputs)) if rule.activations is None else rule.activations
        for k in inputs:
            if not view.has(k):
                continue
            for y in view.outputs:
                x = view.x(k)
                if x.dtype == y.dtype and is_integer(x) and not _same(x, y):
                    found = f"input {k} has {_params(x)}, the output {_params(y)}"
                    yield place, found


def _fixed_scales(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for place, view in subject.layers:
        rule = _rule(view)
        if rule is None or rule.output != "fixed" or not view.outputs:
            continue
        y = view.y()
        if _widens(view):
            continue
        wanted = rule.fixed.get(y.dtype)
        if wanted is None or y.quant is None or len(y.quant.scale) != 1:
            continue
        close = abs(float(y.scale) - wanted[0]) <= 1e-3 * wanted[0]
        if not close or y.zero_point != wanted[1]:
            yield place, f"{_params(y)} where the kernels use {wanted[0]:.6g} and {wanted[1]}"


def _widens(view: NodeView) -> bool:
    """SOFTMAX int8 -> int16: its output is scale 1/65536, zero point -32768 by specification."""
    return view.op.name == "SOFTMAX" and view.has(0) and view.x().dtype == "int8" != view.y().dtype


def _int16(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for prefix, graph in subject.graphs():
        views = [NodeView(graph, i) for i in range(len(graph.nodes))]
        exempt = {view.node.outputs[0] for view in views if view.outputs and _widens(view)}
        for t in sorted(_used(graph) - exempt):
            quant = graph.tensors[t].quant
            if graph.tensors[t].dtype == "int16" and quant is not None and quant.zero_point.any():
                yield place_of(prefix, graph, t), f"has zero point {int(quant.zero_point[0])}"


def _per_tensor(subject: Subject, settings: Settings) -> Iterator[Violation]:
    for place, view in subject.layers:
        if view.op.name == "DEQUANTIZE" and view.has(0):
            quant = view.x().quant
            if quant is not None and len(quant.scale) > 1:
                yield place, f"DEQUANTIZE reads {len(quant.scale)} scales"
        for y in view.outputs:
            if is_integer(y) and y.quant is not None and len(y.quant.scale) > 1:
                yield place, f"its output has {len(y.quant.scale)} scales"


RULES = (
    Rule(
        "fully-integer",
        "every tensor computed at run time, inputs and outputs included, is an integer",
        "off",
        _fully_integer,
        "quantize with `thimble quantize MODEL --data D.npz`",
    ),
    Rule(
        "float-islands",
        "no layers compute in float between integer layers",
        "warning",
        _islands,
        "see why the converter or quantizer left them in float; integer kernels may exist now",
    ),
    Rule(
        "hybrid-layers",
        "no layer has integer weights with float activations",
        "warning",
        _hybrid,
        "TFLM refuses them, Thimble computes them in float; quantize with data instead",
    ),
    Rule(
        "symmetric-weights",
        "integer weights and biases have zero point 0",
        "error",
        _symmetric,
        "kernels leave the zero point of weights out: quantize them symmetrically",
    ),
    Rule(
        "bias-scale",
        "the scale of a bias is input scale x weight scale",
        "error",
        _bias_scale,
        "kernels add the bias without rescaling it: quantize the layer again",
    ),
    Rule(
        "sane-scales",
        "scales are neither zero nor below `smallest-scale` nor above `largest-scale`",
        "error",
        _sane,
        "a range that calibration never saw: calibrate with data that reach this layer",
    ),
    Rule(
        "equal-scales",
        "an op that only moves or selects values has one scale and zero point, in and out",
        "error",
        _equal_scales,
        "kernels copy the integers without rescaling them: quantize the model again",
    ),
    Rule(
        "fixed-scales",
        "SOFTMAX, LOGISTIC, TANH and their kin have the output scale of TFLite's specification",
        "error",
        _fixed_scales,
        "kernels compute with that scale whatever the file says",
    ),
    Rule(
        "int16-zero-points",
        "int16 tensors have zero point 0",
        "error",
        _int16,
        "int16 kernels take zero point 0 for granted",
    ),
    Rule(
        "one-scale-activations",
        "activations have one scale, and DEQUANTIZE reads tensors of one scale",
        "warning",
        _per_tensor,
        "TFLM's DEQUANTIZE uses the first scale for all channels; `thimble repair` folds it",
    ),
)
