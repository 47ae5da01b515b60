"""The seeded faults: each is a name, a damage, and the rules that are a right explanation of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from explain.damage import (
    BIAS,
    Damaged,
    Site,
    moved_by,
    on_bias,
    on_output_quant,
    on_weight_scale,
    on_weights,
    option,
    scaled_by,
)

from thimble import ops
from thimble.graph import Node, Quant, Tensor

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Fault:
    """`damage` one layer of a model (None: it does not apply there); `causes` that are right."""

    name: str
    damage: Callable[[Site], Damaged | None]
    causes: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


def _swap(axis: int | None) -> Callable[[Site, Array], Array | None]:
    def change(site: Site, w: Array) -> Array | None:
        along = site.axis if axis is None else axis % w.ndim
        if w.shape[along] < 2 or (axis is not None and along == site.axis):
            return None
        i, j = site.rng.choice(w.shape[along], 2, replace=False)
        order = np.arange(w.shape[along])
        order[[i, j]] = order[[j, i]]
        return np.take(w, order, along)

    return change


def _row(change: Callable[[Array, Site], Array]) -> Callable[[Site, Array], Array | None]:
    def changed(site: Site, w: Array) -> Array | None:
        if w.shape[site.axis] < 5 or w.size // w.shape[site.axis] < 5:
            return None
        moved = np.moveaxis(w, site.axis, 0).copy()
        i = int(site.rng.integers(len(moved)))
        if not moved[i].any():
            return None
        moved[i] = change(moved[i], site)
        return np.moveaxis(moved, 0, site.axis)

    return changed


def _negate(w: Array) -> Array:
    return np.clip(-w.astype(np.float64), -127 if w.dtype == np.int8 else None, None)


def _bit(site: Site, w: Array) -> Array:
    flat = w.reshape(-1).copy()
    kind = np.dtype(f"u{flat.dtype.itemsize}")
    bits = flat.view(kind)
    bit = 8 * flat.dtype.itemsize - (2 if flat.dtype.kind == "i" else 4)
    bits[int(site.rng.integers(flat.size))] ^= kind.type(1 << bit)
    return flat.reshape(w.shape)


def _outlier(site: Site, w: Array) -> Array:
    flat = w.reshape(-1).copy()
    at = int(site.rng.integers(flat.size))
    top = np.abs(flat.astype(np.float64)).max()
    flat[at] = -flat[at] if abs(flat[at]) > top / 2 else (top if flat[at] < 0 else -top)
    return flat.reshape(w.shape)


def _transpose(site: Site, w: Array) -> Array | None:
    if w.ndim == 4 and w.shape[1] == w.shape[2] > 1:
        return w.swapaxes(1, 2)
    if w.ndim == 2 and w.shape[0] > 1 and w.shape[1] > 1:
        return np.ascontiguousarray(w.T).reshape(w.shape)
    return None


def _mirror(site: Site, w: Array) -> Array | None:
    axes = [a for a in (1, 2) if w.ndim == 4 and w.shape[a] > 1]
    return np.flip(w, int(site.rng.choice(axes))) if axes else None


def _roll(site: Site, w: Array) -> Array | None:
    axes = [a for a in (1, 2) if w.ndim == 4 and w.shape[a] > 2]
    return np.roll(w, 1, int(site.rng.choice(axes))) if axes else None


def _noise(site: Site, w: Array) -> Array:
    top = float(np.abs(w.astype(np.float64)).max())
    noisy = w + site.rng.normal(0, 0.2 * top, w.shape)
    return np.clip(np.round(noisy), -127, 127) if w.dtype == np.int8 else noisy


def _coarse(site: Site, w: Array) -> Array | None:
    step = 16.0 if w.dtype == np.int8 else float(np.abs(w).max()) / 7
    return np.clip(np.round(w / step) * step, -127, 127) if w.size > 200 else None


def _shuffle(site: Site, w: Array) -> Array:
    return site.rng.permutation(w.reshape(-1)).reshape(w.shape)


def _bias_offset(site: Site, b: Array) -> Array:
    size = float(np.abs(b.astype(np.float64)).max())
    return b + size * site.rng.uniform(0.3, 1.0)


def _bias_order(site: Site, b: Array) -> Array | None:
    return site.rng.permutation(b) if b.size > 3 else None


def _bias_element(site: Site, b: Array) -> Array | None:
    if b.size < 5:
        return None
    new = b.copy()
    i = int(site.rng.integers(b.size))
    new[i] = new[i] + np.abs(b).max() + 1
    return new


def _overflow(site: Site, b: Array) -> Array | None:
    if b.dtype != np.int32:
        return None
    new = b.copy()
    new[int(np.abs(b).argmax())] = 2**31 - 1
    return new


def _drop_bias(site: Site) -> Damaged | None:
    if site.bias is None:
        return None
    inputs = list(site.node.inputs)
    inputs[BIAS] = -1
    return site.done(site.with_node(inputs=tuple(inputs)))


def _other_act(new: str, old: tuple[str, ...]) -> Callable[[Site, Any], Any]:
    return lambda site, value: new if value in old else None


def _dilate(site: Site, value: int) -> int | None:
    op = site.op
    is_same = op.padding == "SAME" and op.stride_h == op.stride_w == 1
    w = site.tensor(1)
    return 2 if value == 1 and is_same and w is not None and w.shape[1] > 1 else None


def _shifted_padding(site: Site) -> Damaged | None:
    """SAME padding becomes a PAD with one row more above and one less below, and VALID."""
    from thimble.geometry import axis

    op, x, w = site.op, site.tensor(0), site.tensor(1)
    if op.name not in ("CONV_2D", "DEPTHWISE_CONV_2D") or op.padding != "SAME":
        return None
    assert x is not None
    assert w is not None
    amounts = []
    for k, stride, dilation in (
        (1, op.stride_h, op.dilation_h_factor),
        (2, op.stride_w, op.dilation_w_factor),
    ):
        a = axis(x.shape[k], w.shape[k], stride, dilation, "SAME")
        extent = (w.shape[k] - 1) * dilation + 1
        total = max((a.out - 1) * stride + extent - x.shape[k], 0)
        amounts.append((a.pad, total - a.pad))
    if amounts[0][1] < 1 and amounts[0][0] < 1:
        return None
    by = 1 if amounts[0][1] >= 1 else -1
    amounts[0] = (amounts[0][0] + by, amounts[0][1] - by)
    graph = site.graph
    pads = np.array([(0, 0), *amounts, (0, 0)], np.int32)
    shape = tuple(n + int(p.sum()) for n, p in zip(x.shape, pads))
    tensors = (
        *graph.tensors,
        Tensor("paddings_added", (4, 2), "int32", data=pads),
        replace(x, name=f"{x.name}_padded", shape=shape, shape_signature=None),
    )
    count = len(graph.tensors)
    pad = Node(ops.all_ops()["PAD"](), (site.node.inputs[0], count), (count + 1,))
    inputs = (count + 1, *site.node.inputs[1:])
    conv = replace(site.node, op=replace(op, padding="VALID"), inputs=inputs)
    nodes = (*graph.nodes[: site.index], pad, conv, *graph.nodes[site.index + 1 :])
    changed = graph.with_(tensors=tensors, nodes=nodes)
    return site.done(changed, (site.index, site.index + 1))


def _pool_kind(site: Site) -> Damaged | None:
    kinds = {"AVERAGE_POOL_2D": "MAX_POOL_2D", "MAX_POOL_2D": "AVERAGE_POOL_2D"}
    if site.op.name not in kinds:
        return None
    old = site.op
    x = site.tensor(0)
    assert x is not None
    if old.filter_height * old.filter_width < 2:
        return None
    values = {f.name: getattr(old, f.name) for f in fields(old)}
    return site.done(site.with_node(op=ops.all_ops()[kinds[old.name]](**values)))


def _to_sub(site: Site) -> Damaged | None:
    if site.op.name != "ADD" or site.op.fused_activation_function not in ("NONE", "RELU"):
        return None
    act = site.op.fused_activation_function
    return site.done(site.with_node(op=ops.all_ops()["SUB"](fused_activation_function=act)))


def _runtime(site: Site) -> list[int]:
    """Positions of the inputs that are computed at run time."""
    graph = site.graph
    return [k for k, t in enumerate(site.node.inputs) if t >= 0 and graph.tensors[t].data is None]


def _wrong_input(site: Site) -> Damaged | None:
    """The layer reads an earlier tensor of the same shape and dtype."""
    graph = site.graph
    places = _runtime(site)
    if not places:
        return None
    k = int(site.rng.choice(places))
    mine = graph.tensors[site.node.inputs[k]]
    before = {t for n in graph.nodes[: site.index] for t in n.outputs} | set(graph.inputs)
    like = [
        t
        for t in sorted(before)
        if t not in site.node.inputs
        and graph.tensors[t].shape == mine.shape
        and graph.tensors[t].dtype == mine.dtype
    ]
    if not like or site.op.name == "RESHAPE":
        return None
    inputs = list(site.node.inputs)
    inputs[k] = int(site.rng.choice(like))
    return site.done(site.with_node(inputs=tuple(inputs)))


def _beta(site: Site, value: float) -> float | None:
    return float(value * site.rng.uniform(1.5, 3.0)) if site.op.name == "SOFTMAX" else None


def _weight_zero_point(site: Site) -> Damaged | None:
    w = site.weights
    if w is None or w.quant is None or w.dtype != "int8":
        return None
    zero = np.full_like(w.quant.zero_point, int(site.rng.integers(3, 20)))
    quant = replace(w.quant, zero_point=zero)
    return site.done(site.with_tensor(site.node.inputs[1], quant=quant))


def _some_scale(site: Site, scale: Array) -> Array | None:
    if len(scale) < 5:
        return None
    scale[int(site.rng.integers(len(scale)))] *= site.rng.uniform(1.3, 3.0)
    return scale


def _zero_scale(site: Site, scale: Array) -> Array | None:
    if len(scale) < 2:
        return None
    scale[int(site.rng.integers(len(scale)))] = 0
    return scale


def _input_quant(change: Callable[[Site, Quant], Quant | None]) -> Callable[[Site], Damaged | None]:
    def damage(site: Site) -> Damaged | None:
        t = site.graph.inputs[0]
        tensor = site.graph.tensors[t]
        if site.index or tensor.dtype != "int8" or tensor.quant is None:
            return None
        quant = change(site, tensor.quant)
        first = min(i for i, n in enumerate(site.graph.nodes) if t in n.inputs)
        return quant and site.done(site.with_tensor(t, quant=quant), (-1, first))

    return damage


FILE_FAULTS = (
    Fault("weight scale x 1.1", on_weight_scale(lambda s, x: x * 1.1),
          ("weights-scale", "weights-scaled")),
    Fault("weight scale x random", on_weight_scale(lambda s, x: x * s.rng.uniform(0.5, 0.95)),
          ("weights-scale", "weights-scaled")),
    Fault("one channel's scale", on_weight_scale(_some_scale), ("weights-scale",)),
    Fault("a zero scale", on_weight_scale(_zero_scale), ("weights-scale", "zero-scale")),
    Fault("swapped output channels", on_weights(_swap(None)), ("weights-channels-swapped",)),
    Fault("swapped input channels", on_weights(_swap(-1)), ("weights-inputs-swapped",)),
    Fault("reversed output channels", on_weights(lambda s, w: np.flip(w, s.axis)),
          ("weights-channels-swapped",)),
    Fault("flipped weight row", on_weights(_row(lambda r, s: r.reshape(-1)[::-1].reshape(r.shape))),
          ("weights-row",)),
    Fault("zeroed weight row", on_weights(_row(lambda r, s: r * 0)), ("weights-row",)),
    Fault("negated weight row", on_weights(_row(lambda r, s: _negate(r))), ("weights-row",)),
    Fault("negated weights", on_weights(lambda s, w: _negate(w)), ("weights-negated",)),
    Fault("zeroed weights", on_weights(lambda s, w: w * 0), ("weights-zeroed",)),
    Fault("a flipped bit", on_weights(_bit), ("weights-bit-flip",)),
    Fault("an outlier in the weights", on_weights(_outlier),
          ("weights-elements", "weights-bit-flip")),
    Fault("transposed weights", on_weights(_transpose), ("weights-transposed", "weights-differ")),
    Fault("mirrored weights", on_weights(_mirror), ("weights-mirrored", "weights-inputs-swapped")),
    Fault("shifted weights", on_weights(_roll), ("weights-mirrored", "weights-inputs-swapped")),
    Fault("noisy weights", on_weights(_noise), ("weights-differ", "weights-coarse")),
    Fault("coarse weights", on_weights(_coarse), ("weights-coarse",)),
    Fault("shuffled weights", on_weights(_shuffle), ("weights-differ", "weights-channels-swapped")),
    Fault("bias offset", on_bias(_bias_offset), ("bias-offset",)),
    Fault("bias scaled", on_bias(lambda s, b: b * s.rng.uniform(1.3, 3.0)), ("bias-scaled",)),
    Fault("bias zeroed", on_bias(lambda s, b: b * 0), ("bias-missing",)),
    Fault("bias missing", _drop_bias, ("bias-missing",)),
    Fault("bias in another order", on_bias(_bias_order), ("bias-permuted",)),
    Fault("bias negated", on_bias(lambda s, b: -b), ("bias-negated",)),
    Fault("one bias", on_bias(_bias_element), ("bias-elements",)),
    Fault("bias overflow", on_bias(_overflow), ("bias-overflow", "bias-elements")),
    Fault("RELU dropped", option("fused_activation_function",
                                 _other_act("NONE", ("RELU", "RELU6"))), ("activation",)),
    Fault("RELU added", option("fused_activation_function", _other_act("RELU", ("NONE",))),
          ("activation",)),
    Fault("RELU for RELU6 or back", option(
        "fused_activation_function",
        lambda s, v: {"RELU": "RELU6", "RELU6": "RELU"}.get(v)), ("activation",)),
    Fault("wrong padding", _shifted_padding, ("padding",)),
    Fault("wrong dilation", option("dilation_h_factor", _dilate), ("dilation",)),
    Fault("wrong pool", _pool_kind, ("op",)),
    Fault("ADD becomes SUB", _to_sub, ("op",)),
    Fault("wrong input tensor", _wrong_input, ("wrong-input",)),
    Fault("wrong softmax beta", option("beta", _beta), ("option",)),
    Fault("output scale x 1.1", on_output_quant(scaled_by(1.1, 1.1)), ("quantization-scale",)),
    Fault("clipped range", on_output_quant(scaled_by(0.2, 0.6)),
          ("quantization-scale", "saturation")),
    Fault("range too wide", on_output_quant(scaled_by(4, 30)),
          ("quantization-scale", "range-too-wide")),
    Fault("zero point off by one", on_output_quant(moved_by(1, 1)), ("zero-point",)),
    Fault("zero point far off", on_output_quant(moved_by(10, 60)), ("zero-point", "saturation")),
    Fault("input scale", _input_quant(scaled_by(1.05, 2.0)), ("input-scale",)),
    Fault("input zero point", _input_quant(moved_by(1, 10)), ("input-zero-point",)),
    Fault("weights' zero point", _weight_zero_point, ("asymmetric-weights", "weights-scale")),
)  # fmt: skip
