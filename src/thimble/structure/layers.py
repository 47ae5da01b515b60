"""What changed from one layer to the layer that it became."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thimble import ops
from thimble.graph import Tensor
from thimble.structure.facts import DIGEST_ORDER, LayerFacts, TensorFacts
from thimble.structure.kinds import Change
from thimble.structure.match import static
from thimble.structure.values import how_much, is_rounded, moved, relative

# options that have a kind of their own, and what it means when a file leaves them at the default
OPTION_KINDS = {
    "padding": "changed-padding",
    "stride_h": "changed-stride",
    "stride_w": "changed-stride",
    "dilation_h_factor": "changed-dilation",
    "dilation_w_factor": "changed-dilation",
    "fused_activation_function": "changed-activation",
}
DEFAULTS: Mapping[str, Any] = {
    "padding": "SAME",
    "fused_activation_function": "NONE",
    "dilation_h_factor": 1,
    "dilation_w_factor": 1,
}
IMPLIED = {"depth_multiplier"}  # by the shapes: no change of its own where the op changed
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
LOOPS = ("WHILE",)


@dataclass(frozen=True)
class Pair:
    """A layer of the base and what it became; `tolerance` is the relative one for scales."""

    base: LayerFacts
    new: LayerFacts
    tolerance: float = 0.0

    def change(self, kind: str, message: str) -> Change:
        return Change(kind, self.new.place, message, self.new.index, self.base.index)

    @property
    def same_products(self) -> bool:
        """Whether two convolutions multiply the same numbers: equal weights in OHWI order."""
        if self.base.op not in CONVOLUTIONS or self.new.op not in CONVOLUTIONS:
            return False
        shapes = [_weights_shape(layer) for layer in (self.base, self.new)]
        return shapes[0] is not None and shapes[0] == shapes[1]


def _weights_shape(layer: LayerFacts) -> tuple[int, ...] | None:
    weights = layer.constants.get(1)
    if weights is None or len(weights.shape) != 4:
        return None
    order = DIGEST_ORDER.get(layer.op, (0, 1, 2, 3))
    return tuple(weights.shape[i] for i in order)


def changes_of(pair: Pair) -> Iterator[Change]:
    """Every change but names, versions, dynamic shapes and wiring, which are told together."""
    yield from _op(pair)
    yield from _options(pair)
    yield from _tensors(pair)
    yield from _constants(pair)


def _op(pair: Pair) -> Iterator[Change]:
    a, b = pair.base, pair.new
    if a.op == b.op:
        return
    note = ""
    if pair.same_products:
        old, new = a.constants[1], b.constants[1]
        same = " and ".join(
            label
            for label, one, other in (
                ("weights", old.data, new.data),
                ("bias", _constant(a, 2), _constant(b, 2)),
            )
            if one == other
        )
        kept = all(
            a.options.get(k, DEFAULTS.get(k)) == b.options.get(k, DEFAULTS.get(k))
            for k in OPTION_KINDS
        )
        if same == "weights and bias" and kept:
            note = ": the same function, with the same weights in another order"
        elif same:
            note = f", with the same {same} in another order"
    elif b.op in LOOPS:
        note = ": a fused layer became a loop over a subgraph"
    elif a.op in LOOPS:
        note = ": a loop over a subgraph became a fused layer"
    yield pair.change("changed-op", f"{a.op} became {b.op}{note}")


def _constant(layer: LayerFacts, index: int) -> str | None:
    found = layer.constants.get(index)
    return None if found is None else found.data


def _options(pair: Pair) -> Iterator[Change]:
    a, b = pair.base.options, pair.new.options
    told: dict[str, list[str]] = {}
    for name in sorted(a.keys() | b.keys()):
        old, new = a.get(name, DEFAULTS.get(name)), b.get(name, DEFAULTS.get(name))
        if old == new or repr(old) == repr(new):  # NaN is what it was
            continue
        known = OPTION_KINDS.get(name)
        if pair.base.op != pair.new.op and (known is None or name in IMPLIED):
            continue  # options of another op: the change of op says it
        told.setdefault(known or "changed-option", []).append(
            f"{name} {_shown(old)} -> {_shown(new)}"
        )
    for kind, messages in told.items():
        yield pair.change(kind, ", ".join(messages))


def _shown(value: Any) -> str:
    return "the default" if value is None else str(value)


def _tensors(pair: Pair) -> Iterator[Change]:
    a, b = pair.base.outputs, pair.new.outputs
    if len(a) != len(b):
        yield pair.change("changed-shape", f"{len(a)} outputs became {len(b)}")
    for i, (old, new) in enumerate(zip(a, b)):
        label = "output" if len(a) == 1 else f"output {i}"
        for kind, text in tensor_changes(label, old, new, pair.tolerance):
            yield pair.change(kind, text)


def tensor_changes(
    label: str, old: TensorFacts, new: TensorFacts, tolerance: float
) -> Iterator[tuple[str, str]]:
    """(kind, message) of shape, dtype and quantization of one tensor. Dynamic is not a change
    here.
    """
    if static(old.shape) != static(new.shape):
        yield "changed-shape", f"{label} {list(old.shape)} -> {list(new.shape)}"
    if old.dtype != new.dtype:
        yield "changed-dtype", f"{label} {old.dtype} -> {new.dtype}"
        return  # what belongs to the dtype, the quantization, says nothing more
    if old.scales != new.scales or (old.scales > 1 and old.axis != new.axis):
        yield "changed-quantization", f"{label} {_granularity(old)} -> {_granularity(new)}"
    elif old.scales == 1 and new.scales == 1:
        assert old.scale is not None
        assert new.scale is not None
        if relative(old.scale, new.scale) > tolerance:
            yield "changed-scale", f"{label} scale {moved(old.scale, new.scale)}"
        if old.zero_point != new.zero_point:
            yield (
                "changed-zero-point",
                f"{label} zero point {old.zero_point} -> {new.zero_point}",
            )
    elif old.quantization != new.quantization:
        yield from _many_scales(label, old, new, tolerance)


def _granularity(tensor: TensorFacts) -> str:
    if tensor.scales == 0:
        return "not quantized"
    return "per tensor" if tensor.scales == 1 else f"{tensor.scales} scales on axis {tensor.axis}"


def _many_scales(
    label: str, old: TensorFacts, new: TensorFacts, tolerance: float
) -> Iterator[tuple[str, str]]:
    a = old.source.quant if old.source is not None else None
    b = new.source.quant if new.source is not None else None
    if a is None or b is None or len(a.scale) != len(b.scale):
        before, after = old.scale_range or (0.0, 0.0), new.scale_range or (0.0, 0.0)
        least, most = moved(before[0], after[0]), moved(before[1], after[1])
        text = f"{label} scales or zero points of {old.scales} channels: least {least}"
        yield "changed-scale", f"{text}, largest {most}"
        return
    before_all, after_all = a.scale.astype(np.float64), b.scale.astype(np.float64)
    with np.errstate(all="ignore"):
        drift = np.abs(after_all - before_all) / np.abs(before_all)
    drift = np.where(before_all == after_all, 0.0, np.where(before_all == 0, np.inf, drift))
    far = np.flatnonzero(~(drift <= tolerance))
    if len(far):
        worst = int(far[np.argmax(np.nan_to_num(drift[far], nan=np.inf))])
        how = moved(float(before_all[worst]), float(after_all[worst]))
        text = f"{label} scales of {len(far)} of {len(drift)} channels, most in channel {worst}"
        yield "changed-scale", f"{text}: {how}"
    zeros = np.flatnonzero(a.zero_point != b.zero_point)
    if len(zeros):
        c = int(zeros[0])
        how = f"channel {c}: {int(a.zero_point[c])} -> {int(b.zero_point[c])}"
        text = f"{label} zero points of {len(zeros)} of {len(drift)} channels"
        yield "changed-zero-point", f"{text}, {how}"


def label_of(layer: LayerFacts, index: int) -> str:
    """weights, bias or input 3, by what the op says of its inputs."""
    op = ops.find(layer.op)
    if op is not None and index in op.quant.weights:
        return "weights"
    if op is not None and index == op.quant.bias:
        return "bias"
    return f"input {index}"


def _constants(pair: Pair) -> Iterator[Change]:
    a, b = pair.base, pair.new
    for k in sorted(a.constants.keys() & b.constants.keys()):
        old, new = _in_order(a, k), _in_order(b, k)
        label = label_of(b, k)
        if a.op != b.op and not pair.same_products:
            continue  # constants of another op mean something else
        if old.dtype != new.dtype and _is_rounded(old, new):
            text = f"{label} {old.dtype} -> {new.dtype}, the same values rounded"
            yield pair.change("changed-dtype", text)
            continue
        if old.values is not None and new.values is not None:
            if old.values != new.values and not _is_same_shape(pair, k):
                values = f"{label} {list(old.values)} -> {list(new.values)}"
                yield pair.change("changed-option", values)
            continue
        for kind, text in tensor_changes(label, old, new, pair.tolerance):
            yield pair.change(kind, text)
        if old.data != new.data and static(old.shape) == static(new.shape):
            if old.source is None or new.source is None:
                how = f"digest {old.data} -> {new.data}"
            else:
                how = how_much(old.source, new.source)
            yield pair.change("changed-weights", f"{label}: {how}")


def _is_same_shape(pair: Pair, index: int) -> bool:
    """Whether two RESHAPEs say the same output shape, one of them with -1 for a dimension."""
    if {pair.base.op, pair.new.op} != {"RESHAPE"} or index != 1:
        return False
    old, new = pair.base.constants[1].values or (), pair.new.constants[1].values or ()
    return len(old) == len(new) and all(x == y or -1 in (x, y) for x, y in zip(old, new))


def _in_order(layer: LayerFacts, index: int) -> TensorFacts:
    """Constant `index` with the dimensions of weights in OHWI order."""
    found = layer.constants[index]
    order = DIGEST_ORDER.get(layer.op) if index == 1 else None
    if order is None or len(found.shape) != len(order):
        return found
    axis = order.index(found.axis) if found.axis in order else found.axis
    source = found.source
    return replace(
        found,
        shape=tuple(found.shape[i] for i in order),
        axis=axis if found.scales > 1 else found.axis,
        source=None if source is None else _transposed(source, order),
    )


def _transposed(tensor: Tensor, order: Sequence[int]) -> Tensor:
    if tensor.data is None or tensor.data.ndim != len(order):
        return tensor
    quant = tensor.quant
    if quant is not None and quant.is_per_channel and quant.axis in order:
        quant = replace(quant, axis=order.index(quant.axis))
    shape = tuple(tensor.shape[i] for i in order)
    return replace(tensor, shape=shape, data=np.transpose(tensor.data, order), quant=quant)


def _is_rounded(old: TensorFacts, new: TensorFacts) -> bool:
    if old.source is None or new.source is None:
        return False
    return is_rounded(old.source, new.source)
