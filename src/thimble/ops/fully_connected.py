"""FULLY_CONNECTED: y[n, o] = clamp(sum_k x[n, k] * w[o, k] + bias[o]).

x [..., in] (any rank, read as [batch, in]), w [out, in], bias [out] or absent -> y [batch, out], or
[..., out] with keep_num_dims. int8 (weights int8 or int4, per tensor or per output), int16
(weights int8, bias int64, int32 or absent) and float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from thimble import fixedpoint, packing, pairs
from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import lanes, lanes_f32
from thimble.ops.contract import (
    Array,
    Limit,
    NodeView,
    Op,
    QuantRule,
    TensorType,
    constant_input,
    int_weights,
    per_tensor,
    scale_count,
    types,
)
from thimble.ops.paired import why_of
from thimble.ops.row_sums import fully_connected as fully_connected_by_rows


def _weights_fit(n: NodeView) -> bool:
    w = n.x(1)
    if w.dtype not in ("int8", "int4") or w.quant is None or not w.quant.zero_point.any():
        return True
    if not w.is_constant or n.x().dtype == "int16":
        return False
    shifted = int_weights(w).astype(np.int32) - int(w.quant.zero_point[0])
    return bool(np.abs(shifted).max(initial=0) <= 127)


def _scale_count_fits(n: NodeView) -> bool:
    w = n.x(1)
    if w.dtype not in ("int8", "int4"):
        return True
    return scale_count(w) in (1, w.shape[0])


def _product(x: Array, w: Array) -> Array:
    """x @ w.T; short sums in the kernels' order, since a sum that cancels shows the difference."""
    if w.shape[1] > 256:
        return np.asarray(x @ w.T)
    y = np.zeros((len(x), len(w)), np.result_type(x, w))
    for k in range(w.shape[1]):
        y += x[:, k, None] * w[None, :, k]
    return y


@dataclass(frozen=True)
class FullyConnected(Op):
    name: ClassVar[str] = "FULLY_CONNECTED"
    options_table: ClassVar[str] = "FullyConnectedOptions"
    quant: ClassVar[QuantRule] = QuantRule(weights={1: 0}, bias=2)
    min_inputs: ClassVar[int] = 2

    fused_activation_function: str = "NONE"
    weights_format: str = "DEFAULT"
    keep_num_dims: bool = False
    asymmetric_quantize_inputs: bool = False
    quantized_bias_type: str = "float32"  # the schema's default, meaning "not said"

    limits: ClassVar[Sequence[Limit]] = (
        types(
            "float32 float32 float32? -> float32",
            "int8 int8 int32? -> int8",
            "int8 int4 int32? -> int8",
            "int16 int8 int64? -> int16",
            "int16 int8 int32? -> int16",
        ),
        Limit(
            "weights must have rank 2",
            lambda n: len(n.x(1).shape) == 2,
            lambda n: str(list(n.x(1).shape)),
        ),
        Limit(
            "the input must hold whole rows of the weights' depth",
            lambda n: n.x(1).shape[1] > 0 and n.x().elements % n.x(1).shape[1] == 0,
            lambda n: f"{n.x().elements} elements, depth {n.x(1).shape[1]}",
        ),
        Limit(
            "the output must have one row of outputs for each row of the input",
            lambda n: n.y().elements == n.x().elements // n.x(1).shape[1] * n.x(1).shape[0],
            lambda n: f"{list(n.x().shape)}, {list(n.x(1).shape)} -> {list(n.y().shape)}",
        ),
        Limit(
            "weights must be in the DEFAULT format",
            lambda n: n.op.weights_format == "DEFAULT",
            lambda n: n.op.weights_format,
        ),
        Limit(
            "the fused activation must be NONE, RELU, RELU6 or RELU_N1_TO_1",
            lambda n: n.op.fused_activation_function in ("NONE", "RELU", "RELU6", "RELU_N1_TO_1"),
            lambda n: n.op.fused_activation_function,
        ),
        per_tensor(skip=(1, 2)),
        constant_input(2, "the bias"),
        Limit(
            "the bias must have one element for each output",
            lambda n: not n.has(2) or n.x(2).elements == n.x(1).shape[0],
            lambda n: f"{n.x(2).elements} for {n.x(1).shape[0]} outputs",
        ),
        Limit(
            "quantized weights need one scale, or one for each output",
            _scale_count_fits,
            lambda n: f"{scale_count(n.x(1))} scales",
        ),
        Limit(
            "int4 weights must be constant",
            lambda n: n.x(1).dtype != "int4" or n.x(1).is_constant,
        ),
        Limit(
            "weights less their zero point must fit int8, and have zero point 0 where not constant",
            _weights_fit,
            lambda n: f"weights `{n.x(1).name}`",
        ),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x, w = inputs[0], inputs[1]
        assert x is not None
        assert w is not None
        if self.keep_num_dims:
            return (TensorType((*x.shape[:-1], w.shape[0]), x.dtype),)
        return (TensorType((x.elements // w.shape[1], w.shape[0]), x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, w = inputs[0], inputs[1]
        assert x is not None
        assert w is not None
        y = _product(x.reshape(-1, w.shape[1]), w)
        if len(inputs) > 2 and inputs[2] is not None:
            y = y + inputs[2]
        if self.keep_num_dims:
            y = y.reshape(*x.shape[:-1], w.shape[0])
        low, high = fixedpoint.activation_range_float(self.fused_activation_function)
        return (np.clip(y, np.float32(low), np.float32(high)),)

    def macs(self, n: NodeView) -> int:
        out, depth = n.x(1).shape
        return n.x().elements // depth * out * depth

    def lower(self, n: Lowering) -> None:
        out, depth = n.x(1).shape
        batch = n.x().elements // depth
        if n.x().dtype == "float32":
            low, high = fixedpoint.activation_range_float(self.fused_activation_function)
            bias = n.constant(2) if n.has(2) else np.zeros(out, np.float32)
            if n.arch.float_lanes and n.x(1).is_constant:
                lanes_f32.lower_fully_connected(
                    n, n.constant(1), bias.reshape(-1), batch, low, high
                )
                return
            n.call(
                "thm_fully_connected_f32",
                rows=batch,
                x=n.input(),
                w=n.input(1),
                bias=n.const(bias, "bias"),
                y=n.output(),
                depth=depth,
                outputs=out,
                act_min=low,
                act_max=high,
            )
            return
        x, w, y = n.x(), n.x(1), n.y()
        assert w.quant is not None
        per_channel = len(w.quant.scale) > 1
        factors = np.float64(x.scale) * w.quant.scale.astype(np.float64) / np.float64(y.scale)
        multiplier, shift = fixedpoint.quantize_multipliers(factors)
        low, high = fixedpoint.activation_range(
            self.fused_activation_function, y.dtype, y.scale, y.zero_point
        )
        common: dict[str, Any] = {
            "rows": batch,
            "x": n.input(),
            "y": n.output(),
            "multiplier": n.const(multiplier, "multiplier"),
            "shift": n.const(shift.astype(np.int8), "shift"),
            "depth": depth,
            "outputs": out,
            "act_min": low,
            "act_max": high,
            "per_channel": int(per_channel),
        }
        bias = n.constant(2).reshape(-1).astype(np.int64) if n.has(2) else np.zeros(out, np.int64)
        if x.dtype == "int16":
            wide = not n.has(2) or n.x(2).dtype == "int64"
            n.call(
                "thm_fully_connected_s16",
                w=n.input(1),
                bias=n.const(bias, "bias"),
                wide=int(wide),
                **common,
            )
            return
        if not w.is_constant:
            n.call(
                "thm_fully_connected_runtime_s8",
                w=n.input(1),
                bias=n.const(bias.astype(np.int32), "bias"),
                input_offset=-x.zero_point,
                output_offset=y.zero_point,
                **common,
            )
            return
        values = int_weights(w)
        if w.quant.zero_point.any():
            values = (values.astype(np.int32) - int(w.quant.zero_point[0])).astype(np.int8)
        bias = fixedpoint.wrap32(bias - x.zero_point * values.astype(np.int64).sum(axis=1))
        image_rows = n.image_rows()
        if n.by_rows and batch == 1 and image_rows > 1 and depth % image_rows == 0:
            words = ("multiplier", "shift", "act_min", "act_max", "per_channel")
            requantization = {word: common[word] for word in words}
            requantization["output_offset"] = y.zero_point
            fully_connected_by_rows(n, image_rows, values, bias.astype(np.int32), requantization)
            return
        if n.arch.paired:
            q, s = (np.broadcast_to(table, out) for table in (multiplier, shift))
            constants = pairs.prepare(
                pairs.Outputs(values, bias, q, s, y.zero_point, low, high), segments=1
            )
            if constants is not None:
                shared = ("rows", "x", "y", "depth", "outputs", "act_min", "act_max")
                kernel = pairs.kernel("thm_fully_connected_{}_s8", 1, depth)
                n.call(
                    kernel,
                    why=why_of(kernel),
                    w=n.const(constants[0], "weights"),
                    records=n.const(constants[1], "biases and multipliers"),
                    output_offset=y.zero_point,
                    **{word: common[word] for word in shared},
                )
                return
        if n.arch.lanes:
            lanes.lower_fully_connected(n, values, bias, multiplier, shift, batch, low, high)
            return
        packed = packing.pack(values[:, None, :], n.arch.oc_block, n.arch.k_block)
        n.call(
            "thm_fully_connected_s8",
            w=n.const(packed, "weights"),
            bias=n.const(bias.astype(np.int32), "bias"),
            output_offset=y.zero_point,
            alike="tile" if n.arch.shares else "",
            oc_block=n.arch.oc_block,
            k_block=n.arch.k_block,
            **common,
        )


def thm_fully_connected_s8(
    p: Any,
    y_first: int,
    y_count: int,
    x: Array,
    w: Array,
    bias: Array,
    multiplier: Array,
    shift: Array,
    y: Array,
) -> None:
    """Twin of the kernel of the same name."""
    weights = packing.unpack(w, p.outputs, 1, p.depth, p.oc_block, p.k_block)
    _matmul_s8(p, y_first, y_count, x, weights[:, 0, :], bias, multiplier, shift, y, 0)


def thm_fully_connected_runtime_s8(
    p: Any,
    y_first: int,
    y_count: int,
    x: Array,
    w: Array,
    bias: Array,
    multiplier: Array,
    shift: Array,
    y: Array,
) -> None:
    """Twin of the kernel of the same name."""
    weights = w[: p.outputs * p.depth].reshape(p.outputs, p.depth)
    _matmul_s8(p, y_first, y_count, x, weights, bias, multiplier, shift, y, p.input_offset)


def _matmul_s8(
    p: Any,
    y_first: int,
    y_count: int,
    x: Array,
    w: Array,
    bias: Array,
    multiplier: Array,
    shift: Array,
    y: Array,
    input_offset: int,
) -> None:
    depth, out = p.depth, p.outputs
    rows = slice(y_first, y_first + y_count)
    xs = x[: (y_first + y_count) * depth].reshape(-1, depth)[rows].astype(np.int64)
    acc = (xs + input_offset) @ w.astype(np.int64).T + bias[:out]
    q = fixedpoint.mbqm(fixedpoint.wrap32(acc), multiplier, shift) + p.output_offset
    y[: (y_first + y_count) * out].reshape(-1, out)[rows] = np.clip(q, p.act_min, p.act_max)


def thm_fully_connected_s16(
    p: Any,
    y_first: int,
    y_count: int,
    x: Array,
    w: Array,
    bias: Array,
    multiplier: Array,
    shift: Array,
    y: Array,
) -> None:
    """Twin of the kernel of the same name."""
    depth, out = p.depth, p.outputs
    rows = slice(y_first, y_first + y_count)
    w = w[: out * depth].reshape(out, depth).astype(np.int64)
    xs = x[: (y_first + y_count) * depth].reshape(-1, depth)[rows].astype(np.int64)
    acc = xs @ w.T + bias[:out]
    if p.wide:
        q = fixedpoint.mbqm64(acc, multiplier, shift)
    else:
        q = fixedpoint.mbqm(fixedpoint.wrap32(acc), multiplier, shift)
    y[: (y_first + y_count) * out].reshape(-1, out)[rows] = np.clip(q, p.act_min, p.act_max)


def thm_fully_connected_f32(
    p: Any, y_first: int, y_count: int, x: Array, w: Array, bias: Array, y: Array
) -> None:
    """Twin of the kernel of the same name: k ascending, so that every rounding is the kernel's."""
    depth, out = p.depth, p.outputs
    rows = slice(y_first, y_first + y_count)
    w = w[: out * depth].reshape(out, depth)
    xs = x[: (y_first + y_count) * depth].reshape(-1, depth)[rows]
    acc = np.zeros((y_count, out), np.float32)
    for k in range(depth):
        acc += xs[:, k, None] * w[None, :, k]
    result = np.clip(acc + bias[:out], np.float32(p.act_min), np.float32(p.act_max))
    y[: (y_first + y_count) * out].reshape(-1, out)[rows] = result
