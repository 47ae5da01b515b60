"""DEPTHWISE_CONV_2D: y[n, oy, ox, o] = clamp(bias[o] + sum_{ky, kx} w[ky, kx, o] x[n, iy, ix, c]).

Output o = c * m + i comes from input channel c.

x [N, H, W, C], w [1, FH, FW, C * m], bias [C * m] or absent -> y [N, OH, OW, C * m]. int8 (weights
int8 or int4, per tensor or per channel on axis 3), int16 (weights int8, bias int64 or absent) and
float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from thimble import fixedpoint
from thimble.geometry import axis
from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import lanes, lanes_f32
from thimble.ops.blocked import lower_blocked
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
from thimble.ops.conv_2d import (
    ACTIVATIONS,
    SCALES_IN_RANGE,
    gather_windows,
    legal_strides,
    multipliers,
    pad_image,
    window_taps,
    zero_points_are_zero,
)
from thimble.ops.conv_2d import lower_int8 as lower_conv_int8
from thimble.ops.planar import lower_planar
from thimble.program import Window


def _output_fits(n: NodeView) -> bool:
    return tuple(n.y().shape) == n.op.infer(n.inputs)[0].shape and n.y().elements > 0


def _scale_count_fits(n: NodeView) -> bool:
    w = n.x(1)
    if w.dtype == "float32":
        return True
    return scale_count(w) in (1, w.shape[3])


@dataclass(frozen=True)
class DepthwiseConv2D(Op):
    name: ClassVar[str] = "DEPTHWISE_CONV_2D"
    options_table: ClassVar[str] = "DepthwiseConv2DOptions"
    quant: ClassVar[QuantRule] = QuantRule(weights={1: 3}, bias=2)
    min_inputs: ClassVar[int] = 2

    padding: str = "SAME"
    stride_w: int = 0
    stride_h: int = 0
    depth_multiplier: int = 0
    fused_activation_function: str = "NONE"
    dilation_w_factor: int = 1
    dilation_h_factor: int = 1

    limits: ClassVar[Sequence[Limit]] = (
        types(
            "float32 float32 float32? -> float32",
            "int8 int8 int32? -> int8",
            "int8 int4 int32? -> int8",
            "int16 int8 int64? -> int16",
        ),
        Limit(
            "input and weights must have rank 4 and no empty dimension",
            lambda n: all(len(n.x(i).shape) == 4 and n.x(i).elements > 0 for i in (0, 1)),
            lambda n: f"{list(n.x().shape)} and {list(n.x(1).shape)}",
        ),
        Limit("strides and dilations must lie in [1, 32767]", legal_strides),
        Limit(
            "padding must be SAME or VALID",
            lambda n: n.op.padding in ("SAME", "VALID"),
            lambda n: n.op.padding,
        ),
        Limit(
            "weights must be [1, FH, FW, C * m] for an input of C channels",
            lambda n: n.x(1).shape[0] == 1 and n.x(1).shape[3] % n.x().shape[3] == 0,
            lambda n: f"{list(n.x(1).shape)} for {n.x().shape[3]} channels",
        ),
        Limit(
            "the output must have the shape that the window gives",
            _output_fits,
            lambda n: f"{list(n.y().shape)} instead of {list(n.op.infer(n.inputs)[0].shape)}",
            "fix the batch size to 1 when exporting (shapes must be static)",
        ),
        Limit(
            "the fused activation must be NONE, RELU, RELU6 or RELU_N1_TO_1",
            lambda n: n.op.fused_activation_function in ACTIVATIONS,
            lambda n: n.op.fused_activation_function,
        ),
        constant_input(1, "the weights"),
        constant_input(2, "the bias"),
        Limit(
            "the bias must have one element for each output",
            lambda n: not n.has(2) or n.x(2).elements == n.x(1).shape[3],
            lambda n: f"{n.x(2).elements} for {n.x(1).shape[3]} outputs",
        ),
        per_tensor(skip=(1, 2)),
        Limit(
            "quantized weights need one scale, or one for each output",
            _scale_count_fits,
            lambda n: f"{scale_count(n.x(1))} scales",
        ),
        SCALES_IN_RANGE,
        Limit("int16 activations must have zero point 0", zero_points_are_zero),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x, w = inputs[0], inputs[1]
        assert x is not None
        assert w is not None
        rows = axis(x.shape[1], w.shape[1], self.stride_h, self.dilation_h_factor, self.padding)
        columns = axis(x.shape[2], w.shape[2], self.stride_w, self.dilation_w_factor, self.padding)
        return (TensorType((x.shape[0], rows.out, columns.out, w.shape[3]), x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, w = inputs[0], inputs[1]
        assert x is not None
        assert w is not None
        rows = axis(x.shape[1], w.shape[1], self.stride_h, self.dilation_h_factor, self.padding)
        columns = axis(x.shape[2], w.shape[2], self.stride_w, self.dilation_w_factor, self.padding)
        padded = pad_image(x, rows, columns, self.stride_h, self.stride_w)
        padded = np.repeat(padded, w.shape[3] // x.shape[3], axis=3)
        y = np.zeros((x.shape[0], rows.out, columns.out, w.shape[3]), x.dtype)
        for ky in range(w.shape[1]):
            for kx in range(w.shape[2]):
                y += window_taps(padded, self, rows.out, columns.out, ky, kx) * w[0, ky, kx]
        if len(inputs) > 2 and inputs[2] is not None:
            y = y + inputs[2]
        low, high = fixedpoint.activation_range_float(self.fused_activation_function)
        return (np.clip(y, np.float32(low), np.float32(high)),)

    def macs(self, n: NodeView) -> int:
        return n.y().elements * n.x(1).shape[1] * n.x(1).shape[2]

    def lower(self, n: Lowering) -> None:
        x, w, y = n.x(), n.x(1), n.y()
        batch, in_h, in_w, in_c = x.shape
        _, filter_h, filter_w, out = w.shape
        rows = axis(in_h, filter_h, self.stride_h, self.dilation_h_factor, self.padding)
        columns = axis(in_w, filter_w, self.stride_w, self.dilation_w_factor, self.padding)
        common: dict[str, Any] = {
            "rows": rows.out,
            "batches": batch,
            "windows": {"x": Window(self.stride_h, rows.pad, rows.extent)},
            "x": replace(n.input(), batch_stride=x.bytes // batch),
            "y": replace(n.output(), batch_stride=y.bytes // batch),
            "in_h": in_h,
            "in_w": in_w,
            "in_c": in_c,
            "out_w": columns.out,
            "out_c": out,
            "channel_multiplier": out // in_c,
            "filter_h": filter_h,
            "filter_w": filter_w,
            "stride_h": self.stride_h,
            "stride_w": self.stride_w,
            "dilation_h": self.dilation_h_factor,
            "dilation_w": self.dilation_w_factor,
            "pad_top": rows.pad,
            "pad_left": columns.pad,
            "x_ring": in_h,
            "y_ring": rows.out,
        }
        if x.dtype == "float32":
            low_f, high_f = fixedpoint.activation_range_float(self.fused_activation_function)
            bias = n.constant(2) if n.has(2) else np.zeros(out, np.float32)
            common |= {"act_min": low_f, "act_max": high_f}
            if n.arch.float_lanes and out == in_c:
                lanes_f32.lower_depthwise(n, bias, common)
                return
            n.call(
                "thm_depthwise_conv_2d_f32",
                w=n.input(1),
                bias=n.const(bias, "bias"),
                **common,
            )
            return
        q, s = multipliers(n, w)
        low, high = fixedpoint.activation_range(
            self.fused_activation_function, y.dtype, y.scale, y.zero_point
        )
        common |= {
            "multiplier": n.const(q, "multiplier"),
            "shift": n.const(s, "shift"),
            "act_min": low,
            "act_max": high,
        }
        if x.dtype == "int16":
            bias = n.constant(2) if n.has(2) else np.zeros(out, np.int64)
            # One multiplier a channel, so that the kernel needs no choice.
            common["multiplier"] = n.const(np.broadcast_to(q, out).copy(), "multiplier")
            common["shift"] = n.const(np.broadcast_to(s, out).copy(), "shift")
            n.call(
                "thm_depthwise_conv_2d_s16",
                w=n.input(1),
                bias=n.const(bias.astype(np.int64), "bias"),
                per_channel=1,
                **common,
            )
            return
        bias = n.constant(2) if n.has(2) else np.zeros(out, np.int32)
        if in_c == 1:  # every output sums over the same pixels: a convolution
            words = {k: v for k, v in common.items() if k != "channel_multiplier"}
            words |= {"x_channel": 0, "depth": 1, "y_channel": 0, "outputs": out}
            words |= {"out_h": rows.out, "per_channel": int(len(q) > 1)}
            lower_conv_int8(n, int_weights(w).transpose(3, 1, 2, 0), bias.reshape(-1), words)
            return
        weights = int_weights(w)
        if (
            n.arch.paired
            and out == in_c
            and lower_planar(n, weights[0], bias.reshape(-1), q, s, common)
        ):
            return
        elsewhere = ("out_c", "channel_multiplier", "multiplier", "shift")
        words = {k: v for k, v in common.items() if k not in elsewhere}
        fits = weights.min() > -128 and s.max() <= 0  # two products in 16 bits, no left shift
        if n.arch.blocked and out == in_c and fits:
            lower_blocked(n, weights[0], bias.reshape(-1), q, s, words)
            return
        if n.arch.lanes and out == in_c:
            lanes.lower_depthwise(n, weights[0], bias.reshape(-1), q, s, words)
            return
        n.call(
            "thm_depthwise_conv_2d_s8",
            w=n.const(weights, "weights"),
            bias=n.const(bias, "bias"),
            input_offset=-x.zero_point,
            output_offset=y.zero_point,
            per_channel=int(len(q) > 1),
            **common,
        )


# --- twins ----------------------------------------------------------------------------------------


def _rows(p: Any, y_first: int, y_count: int, x: Array, w: Array, fill: int | float) -> Any:
    """For each output row: its index, patches [out_w, taps, out_c] and weights [taps, out_c]."""
    taps = p.filter_h * p.filter_w
    weights = w[: taps * p.out_c].reshape(taps, p.out_c)
    for oy in range(y_first, y_first + y_count):
        patches = gather_windows(p, oy, x, slice(0, p.in_c), fill)
        patches = patches.reshape(p.out_w, taps, p.in_c)
        yield oy, np.repeat(patches, p.channel_multiplier, axis=2), weights


def _store_row(p: Any, oy: int, y: Array, values: Array) -> None:
    image = y[: p.y_ring * p.out_w * p.out_c].reshape(p.y_ring, p.out_w, p.out_c)
    image[oy % p.y_ring] = values


def thm_depthwise_conv_2d_s8(
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
    for oy, patches, weights in _rows(p, y_first, y_count, x, w, -p.input_offset):
        products = (patches.astype(np.int64) + p.input_offset) * weights
        acc = fixedpoint.wrap32(products.sum(axis=1) + bias[: p.out_c])
        q = fixedpoint.mbqm(acc, multiplier, shift) + p.output_offset
        _store_row(p, oy, y, np.clip(q, p.act_min, p.act_max))


def thm_depthwise_conv_2d_s16(
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
    for oy, patches, weights in _rows(p, y_first, y_count, x, w, 0):
        acc = (patches.astype(np.int64) * weights).sum(axis=1) + bias[: p.out_c]
        q = fixedpoint.mbqm64(acc, multiplier, shift)
        _store_row(p, oy, y, np.clip(q, p.act_min, p.act_max))


def thm_depthwise_conv_2d_f32(
    p: Any, y_first: int, y_count: int, x: Array, w: Array, bias: Array, y: Array
) -> None:
    """Twin of the kernel of the same name: taps ascending, each added after its product is
    rounded.
    """
    for oy, patches, weights in _rows(p, y_first, y_count, x, w, 0.0):
        acc = np.zeros((p.out_w, p.out_c), np.float32)
        for k in range(len(weights)):
            acc += patches[:, k] * weights[k]
        values = np.clip(acc + bias[: p.out_c], np.float32(p.act_min), np.float32(p.act_max))
        _store_row(p, oy, y, values)
