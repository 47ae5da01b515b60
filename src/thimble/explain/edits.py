"""What differs between a layer of A and the same layer of B, part by part.

An `Edit` is one difference of the files: weights, bias, another constant, an option, the op itself,
the quantization of the output, which tensors are read, a layer more or less. Each can be applied to
A's graph alone, so that its effect is measured instead of guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from thimble.explain.match import FAMILIES
from thimble.explain.relation import Relation, relate
from thimble.explain.values import constant, same_grid
from thimble.graph import Graph, Node, Quant, Tensor
from thimble.ops.contract import OpaqueOp, int_weights

Array = np.ndarray
Patch = Callable[[Graph], Graph]

BIAS = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
WEIGHTS = {
    "CONV_2D": 1,
    "DEPTHWISE_CONV_2D": 1,
    "FULLY_CONNECTED": 1,
    "TRANSPOSE_CONV": 1,
    "BATCH_MATMUL": 1,
}
# Options that no kernel's numbers depend on.
SILENT = {
    "quantized_bias_type",
    "pot_scale_int16",
    "asymmetric_quantize_inputs",
    "weights_format",
    "keep_num_dims",
    "keep_dims",
    "new_shape",
    "squeeze_dims",
    "depth_multiplier",
}
# Relations that say little: a change of the stored numbers may be a plain one.
VAGUE = ("rows", "differ", "noise", "scaled-channels", "shuffled")
# Layers that carry values from one dtype or shape to another and change none.
CARRIERS = {"QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "CAST"}


@dataclass(frozen=True, eq=False)
class Edit:
    """One difference: `part` of node `node_b` of B (`node_a` of A), `old` in A, `new` in B.

    `part` is weights, bias, constant, scale (of weights), option, op, quantization, operands,
    lacking (only A has the layer) or added (only B). `name` is the option's or tensor's.
    """

    part: str
    name: str
    old: Any
    new: Any
    node_a: int | None = None
    node_b: int | None = None
    relation: Relation | None = None
    patch: Patch | None = None


def _with_tensor(graph: Graph, index: int, **changes: Any) -> Graph:
    tensors = list(graph.tensors)
    tensors[index] = replace(tensors[index], **changes)
    return graph.with_(tensors=tuple(tensors))


def _with_node(graph: Graph, index: int, **changes: Any) -> Graph:
    nodes = list(graph.nodes)
    nodes[index] = replace(nodes[index], **changes)
    return graph.with_(nodes=tuple(nodes))


def channel_axis(op: str, tensor: Tensor) -> int:
    """The axis of a constant along which output channels lie."""
    if op == "DEPTHWISE_CONV_2D":
        return max(len(tensor.shape) - 1, 0)
    return 0


def _laid_out(op: str, values: Array) -> Array:
    """Weights as [O, H, W, I], whichever op they belong to."""
    if op == "DEPTHWISE_CONV_2D" and values.ndim == 4:
        return np.moveaxis(values, 3, 0).reshape(values.shape[3], *values.shape[1:3], 1)
    return values


def laid_out_as(op_a: str, shape: tuple[int, ...], op_b: str, values: Array) -> Array | None:
    """Weights of op_b in the layout of op_a with `shape`; None where the sizes differ."""
    if values.shape == shape:
        return values
    if values.size != int(np.prod(shape)):
        return None
    kernel = _laid_out(op_b, values)
    if op_a == "DEPTHWISE_CONV_2D" and kernel.ndim == 4:
        kernel = np.moveaxis(kernel, 0, 3)
    return kernel.reshape(shape)


def _constants(op: str, n: Node, graph: Graph) -> Iterator[tuple[int, int]]:
    for i, t in enumerate(n.inputs):
        if t >= 0 and graph.tensors[t].data is not None:
            yield i, t


def _array_edits(a: Graph, b: Graph, i: int, j: int) -> Iterator[Edit]:
    one, two = a.nodes[i], b.nodes[j]
    op_a, op_b = one.op.name, two.op.name
    held_a, held_b = dict(_constants(op_a, one, a)), dict(_constants(op_b, two, b))
    for k in sorted({*held_a, *held_b}):
        is_bias = BIAS.get(op_b, -1) == k
        part = "bias" if is_bias else "weights" if WEIGHTS.get(op_b, -1) == k else "constant"
        if k not in held_a or k not in held_b:
            absent = (k in held_b) != (k in held_a) and (
                k >= len(one.inputs)
                or one.inputs[k] < 0
                or k >= len(two.inputs)
                or two.inputs[k] < 0
            )
            if is_bias and absent:
                yield from _bias_missing(a, b, i, j, held_a.get(k), held_b.get(k))
            continue
        x, y = a.tensors[held_a[k]], b.tensors[held_b[k]]
        yield from _constant_edit(part, op_a, op_b, x, y, held_a[k], i, j)


def _bias_missing(
    a: Graph, b: Graph, i: int, j: int, t_a: int | None, t_b: int | None
) -> Iterator[Edit]:
    tensor = a.tensors[t_a] if t_a is not None else b.tensors[t_b]  # type: ignore[index]
    values, _ = constant(tensor)
    if not values.any():
        return
    zero = np.zeros_like(values)
    old, new = (values, zero) if t_a is not None else (zero, values)
    kind = "missing" if t_a is not None else "extra"
    detail = "the bias is absent" if t_a is not None else "there is a bias"
    patch: Patch | None = None
    if t_a is not None:
        data = tensor.data
        assert data is not None
        patch = lambda g: _with_tensor(g, t_a, data=np.zeros_like(data))  # noqa: E731
    yield Edit("bias", tensor.name, old, new, i, j, Relation(kind, detail, 1.0), patch)


def _constant_edit(
    part: str, op_a: str, op_b: str, x: Tensor, y: Tensor, t: int, i: int, j: int
) -> Iterator[Edit]:
    if x.dtype in ("string", "bool") or (x.data is y.data and _same_quant(x.quant, y.quant)):
        return
    old, slack_old = constant(x)
    new, slack_new = constant(y)
    if op_a != op_b and part == "weights":
        old, new = _laid_out(op_a, old), _laid_out(op_b, new)
        slack_old, slack_new = _laid_out(op_a, slack_old), _laid_out(op_b, slack_new)
    if old.size != new.size:
        relation: Relation | None = Relation(
            "resized", f"{list(old.shape)} to {list(new.shape)}", 1.0
        )
        yield Edit(part, x.name, old, new, i, j, relation, None)
        return
    if old.shape != new.shape:
        relation = _transposed(old, new, slack_old)
        if relation is not None:
            yield Edit(part, x.name, old, new, i, j, relation, None)
            return
        old, slack_old = old.reshape(new.shape), slack_old.reshape(new.shape)
    raw = x.dtype == y.dtype and x.data is not None and y.data is not None
    is_same_raw = raw and np.array_equal(
        np.asarray(x.data).reshape(-1), np.asarray(y.data).reshape(-1)
    )
    # Two grids of the same stored numbers differ by more than rounding; two float32 never round.
    is_same_grid = _same_quant(x.quant, y.quant)
    slack = 0.0 if is_same_raw or is_same_grid else slack_old + slack_new
    axis = channel_axis(op_b, y) if op_a == op_b else 0
    relation = relate(old, new, axis, slack)
    is_vague = relation is not None and (
        relation.kind in VAGUE or (relation.kind == "elements" and not raw)
    )
    if is_vague:
        # Stored numbers that were moved between channels of different scales.
        told = _in_steps(old, slack_old, y, axis) if old.shape == tuple(y.shape) else None
        if told is not None and part == "weights" and told.kind == "scale":
            part = "scale"
        relation = told or relation
    if relation is None:
        return
    if is_same_raw:
        detail = relation.detail
        if part in ("weights", "bias"):
            part = "scale" if part == "weights" else "bias-scale"
        relation = Relation(relation.kind, detail, relation.share)
    elif relation.kind in ("elements", "rows") and relation.share * old.size <= 4 and raw:
        relation = _bits(x, y) or relation
    shape, data, quant = x.shape, y.data, y.quant
    patch: Patch | None = None
    if raw and data is not None and x.shape == y.shape:
        patch = lambda g: _with_tensor(g, t, data=data, quant=quant)  # noqa: E731
    elif x.dtype == "float32" and old.shape == tuple(shape):
        patch = lambda g: _with_tensor(g, t, data=new.astype(np.float32))  # noqa: E731
    yield Edit(part, x.name, old, new, i, j, relation, patch)


def _in_steps(old: Array, slack: Array, y: Tensor, axis: int) -> Relation | None:
    """How the stored integers of `y` differ from those that `old` would have on y's grid.

    Kind "scale" where each channel is right but for a factor; None where nothing plain is found.
    """
    half = constant(y)[1]
    if not half.any():
        return None
    new = np.asarray(int_weights(y)).reshape(y.shape).astype(np.float64)
    steps = np.where(half > 0, 2 * half, 1)
    wanted = old / steps
    inexact = 0.5 + slack / steps
    if wanted.ndim > 1:
        factors = _normal(wanted, axis), _normal(new, axis)
        least = 1.5 / np.maximum(np.abs(new).max(initial=0.0), 1)
        if relate(*factors, axis, np.full(new.shape, least)) is None:
            return relate(old, new * steps, axis, slack + half) and Relation(
                "scale", "scaled channel by channel, the stored numbers fit", 1.0
            )
    top = float(np.iinfo(new_dtype(y)).max)
    wanted = np.clip(wanted, -top, top)
    relation = relate(wanted, new, axis, inexact)
    if relation is None or relation.kind in VAGUE:
        return None
    if relation.kind == "elements":
        before = np.rint(wanted).astype(new_dtype(y)).reshape(-1)
        after = new.astype(new_dtype(y)).reshape(-1)
        changed = np.flatnonzero(np.abs(wanted - new).reshape(-1) > 1.001 * inexact.reshape(-1))
        kept = after.copy()
        kept[changed] = before[changed]
        return _flipped(kept, after) or relation
    return relation


def new_dtype(tensor: Tensor) -> np.dtype[Any]:
    """The NumPy dtype of a quantized constant's stored integers."""
    return np.dtype("int8" if tensor.dtype == "int4" else tensor.dtype)


def _normal(values: Array, axis: int) -> Array:
    """Each slice along `axis` divided by its largest magnitude."""
    others = tuple(k for k in range(values.ndim) if k != axis % values.ndim)
    top = np.abs(values).max(axis=others, keepdims=True)
    return values / np.where(top > 0, top, 1)


def _transposed(old: Array, new: Array, slack: Array) -> Relation | None:
    """The relation where the stored axes were permuted, so that the shapes differ too."""
    if old.ndim != new.ndim or sorted(old.shape) != sorted(new.shape):
        return None
    for x in range(old.ndim):
        for y in range(x + 1, old.ndim):
            swapped = old.swapaxes(x, y)
            if swapped.shape == new.shape and relate(swapped, new, 0, slack.swapaxes(x, y)) is None:
                return Relation("transposed", f"axes {x} and {y} are swapped", 1.0)
    return None


def _bits(x: Tensor, y: Tensor) -> Relation | None:
    """The relation where every changed element differs in one bit."""
    old, new = np.asarray(x.data).reshape(-1), np.asarray(y.data).reshape(-1)
    if old.dtype != new.dtype or old.size != new.size:
        return None
    return _flipped(old, new)


def _flipped(old: Array, new: Array) -> Relation | None:
    kind = np.dtype(f"u{old.dtype.itemsize}")
    flipped = old.view(kind) ^ new.view(kind)
    places = np.flatnonzero(flipped)
    if not len(places) or len(places) > 4:
        return None
    counts = [int(flipped[p]).bit_count() for p in places]
    if any(count != 1 for count in counts):
        return None
    said = ", ".join(
        f"bit {int(flipped[p]).bit_length() - 1} of element {p}: {old[p]:.6g} -> {new[p]:.6g}"
        for p in places
    )
    return Relation("bit", said, len(places) / old.size)


def _same_quant(x: Quant | None, y: Quant | None) -> bool:
    return x is y or (x is not None and x.same_as(y))


def _option_edits(a: Graph, b: Graph, i: int, j: int) -> Iterator[Edit]:
    one, two = a.nodes[i].op, b.nodes[j].op
    if one.name != two.name:
        patch: Patch | None = None
        if len(a.nodes[i].inputs) == len(b.nodes[j].inputs):
            patch = lambda g: _with_node(g, i, op=two)  # noqa: E731
        yield Edit("op", "op", one.name, two.name, i, j, None, patch)
        if FAMILIES.get(one.name) != FAMILIES.get(two.name):
            return
    if isinstance(one, OpaqueOp) or isinstance(two, OpaqueOp):
        return
    if not (is_dataclass(one) and is_dataclass(two)):
        return
    both = {f.name for f in fields(one)} & {f.name for f in fields(two)}
    for name in sorted(both - SILENT):
        old, new = getattr(one, name), getattr(two, name)
        if old != new and not (isinstance(old, np.ndarray) or isinstance(new, np.ndarray)):
            changed = {name: new}
            yield Edit(
                "option",
                name,
                old,
                new,
                i,
                j,
                None,
                lambda g, c=changed: _with_node(g, i, op=replace(g.nodes[i].op, **c)),
            )


def _quantization_edits(a: Graph, b: Graph, i: int, j: int) -> Iterator[Edit]:
    for s, t in zip(a.nodes[i].outputs, b.nodes[j].outputs):
        if s >= 0 and t >= 0:
            yield from quantization_edit(a.tensors[s], b.tensors[t], s, i, j)


def quantization_edit(x: Tensor, y: Tensor, s: int, i: int | None, j: int | None) -> Iterator[Edit]:
    """The edit of a run-time tensor's scale and zero point, where both have the same dtype."""
    if x.dtype != y.dtype or x.quant is None or y.quant is None or _same_quant(x.quant, y.quant):
        return
    if not len(x.quant.scale) or not len(y.quant.scale) or same_grid(x, y):
        return
    quant = y.quant
    yield Edit(
        "quantization",
        y.name,
        x.quant,
        y.quant,
        i,
        j,
        None,
        lambda g: _with_tensor(g, s, quant=quant),
    )


def _operand_edits(a: Graph, b: Graph, i: int, j: int, match: Mapping[int, int]) -> Iterator[Edit]:
    """Other run-time inputs, or the same in another order; `match`: tensor of B -> tensor of A."""
    one, two = a.nodes[i], b.nodes[j]
    if one.op.name != two.op.name or len(one.inputs) != len(two.inputs):
        return
    places = [
        k
        for k, t in enumerate(two.inputs)
        if t >= 0
        and one.inputs[k] >= 0
        and b.tensors[t].data is None
        and a.tensors[one.inputs[k]].data is None
    ]
    old = [one.inputs[k] for k in places]
    new = [match.get(two.inputs[k], -1) for k in places]
    # A tensor of A that B has not at all belongs to a layer more or less.
    made = {b.tensors[t].name for n in b.nodes for t in n.outputs if t >= 0}
    known = set(match.values())
    is_there = all(t in known or a.tensors[t].name in made for t in old)
    if old == new or -1 in new or not is_there:
        return
    kind = "order" if sorted(old) == sorted(new) else "other"
    named = ([a.tensors[t].name for t in old], [a.tensors[t].name for t in new])
    inputs = list(one.inputs)
    for k, t in zip(places, new):
        inputs[k] = t
    wanted = tuple(inputs)
    yield Edit(
        "operands",
        kind,
        named[0],
        named[1],
        i,
        j,
        None,
        lambda g: _with_node(g, i, inputs=wanted),
    )


def node_edits(a: Graph, b: Graph, i: int, j: int, match: Mapping[int, int]) -> list[Edit]:
    """Every difference of node `j` of `b` from node `i` of `a`."""
    return [
        *_option_edits(a, b, i, j),
        *_array_edits(a, b, i, j),
        *_operand_edits(a, b, i, j, match),
        *_quantization_edits(a, b, i, j),
    ]


def pair_nodes(a: Graph, b: Graph, nodes_a: list[int], nodes_b: list[int]) -> list[tuple[int, int]]:
    """The nodes of two regions that do the same, last first; others are lacking or added."""
    left = list(nodes_a)
    pairs: list[tuple[int, int]] = []
    for same in (lambda x, y: x == y, lambda x, y: FAMILIES.get(x, x) == FAMILIES.get(y, y)):
        taken = {j for _, j in pairs}
        for j in reversed(nodes_b):
            if j in taken:
                continue
            for i in reversed(left):
                if same(a.nodes[i].op.name, b.nodes[j].op.name):
                    pairs.append((i, j))
                    left.remove(i)
                    break
    return pairs
