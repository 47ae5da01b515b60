"""CONV_2D: y[n, oy, ox, o] = clamp(bias[o] + sum_{ky, kx, c} w[o, ky, kx, c] * x[n, iy, ix, c]).

x [N, H, W, C], w [O, FH, FW, C / groups] (OHWI), bias [O] or absent -> y [N, OH, OW, O], with
iy = oy * stride_h - pad_top + ky * dilation_h. int8 (weights int8 or int4, per tensor or per
output), int16 (weights int8, bias int64, int32 or absent) and float32. TFLM takes int16 input and
output as zero point 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from thimble import fixedpoint, packing
from thimble.geometry import axis
from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops import lanes_f32
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
from thimble.ops.conv_2d_int8 import lower_int8
from thimble.program import Window

ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


def legal_strides(n: NodeView) -> bool:
    """Strides and dilations that a window can move by, its extent within 32 bits."""
    op, filters = n.op, n.x(1).shape
    steps = (op.stride_h, op.stride_w, op.dilation_h_factor, op.dilation_w_factor)
    return (
        all(1 <= step <= 32767 for step in steps)
        and max(filters[1] * op.dilation_h_factor, filters[2] * op.dilation_w_factor) < 2**30
    )


def zero_points_are_zero(n: NodeView) -> bool:
    """int16 activations are symmetric."""
    return n.x().dtype != "int16" or (n.x().zero_point == 0 and n.y().zero_point == 0)


def multipliers(n: NodeView, w: Tensor) -> tuple[Array, Array]:
    """(int32 multiplier, int8 shift) of input scale x weight scale / output scale, in double."""
    assert w.quant is not None
    factors = np.float64(n.x().scale) * w.quant.scale.astype(np.float64) / np.float64(n.y().scale)
    q, s = fixedpoint.quantize_multipliers(factors)
    return q, s.astype(np.int8)


def scales_in_range(n: NodeView, weights: int = 1) -> bool:
    """Whether every requantization shift is one that the kernels take."""
    w = n.x(weights)
    if w.quant is None or n.x().dtype == "float32":
        return True
    factors = np.float64(n.x().scale) * w.quant.scale.astype(np.float64) / np.float64(n.y().scale)
    return bool(np.isfinite(factors).all() and (factors >= 0).all() and (factors < 128).all())


SCALES_IN_RANGE = Limit(
    "input scale x weight scale / output scale must lie in [0, 128)", scales_in_range
)


def _scale_count_fits(n: NodeView) -> bool:
    w = n.x(1)
    if w.dtype == "float32":
        return True
    return scale_count(w) in (1, w.shape[0])


def _output_fits(n: NodeView) -> bool:
    return tuple(n.y().shape) == n.op.infer(n.inputs)[0].shape and n.y().elements > 0


@dataclass(frozen=True)
class Conv2D(Op):
    name: ClassVar[str] = "CONV_2D"
    options_table: ClassVar[str] = "Conv2DOptions"
    quant: ClassVar[QuantRule] = QuantRule(weights={1: 0}, bias=2)
    min_inputs: ClassVar[int] = 2

    padding: str = "SAME"
    stride_w: int = 0
    stride_h: int = 0
    fused_activation_function: str = "NONE"
    dilation_w_factor: int = 1
    dilation_h_factor: int = 1
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
            "input channels must be a multiple of the filter's, outputs a multiple of the groups",
            lambda n: (
                n.x().shape[3] % n.x(1).shape[3] == 0
                and n.x(1).shape[0] % (n.x().shape[3] // n.x(1).shape[3]) == 0
            ),
            lambda n: f"{n.x().shape[3]} channels, weights {list(n.x(1).shape)}",
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
            lambda n: not n.has(2) or n.x(2).elements == n.x(1).shape[0],
            lambda n: f"{n.x(2).elements} for {n.x(1).shape[0]} outputs",
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
        return (TensorType((x.shape[0], rows.out, columns.out, w.shape[0]), x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x, w = inputs[0], inputs[1]
        assert x is not None
        assert w is not None
        groups = x.shape[3] // w.shape[3]
        parts = [
            windows_times_weights(self, part, kernel)
            for part, kernel in zip(np.split(x, groups, 3), np.split(w, groups, 0))
        ]
        y = np.concatenate(parts, 3) if groups > 1 else parts[0]
        if len(inputs) > 2 and inputs[2] is not None:
            y = y + inputs[2]
        low, high = fixedpoint.activation_range_float(self.fused_activation_function)
        return (np.clip(y, np.float32(low), np.float32(high)),)

    def macs(self, n: NodeView) -> int:
        return n.y().elements * n.x(1).elements // n.x(1).shape[0]

    def lower(self, n: Lowering) -> None:
        x, w, y = n.x(), n.x(1), n.y()
        batch, in_h, in_w, in_c = x.shape
        out, filter_h, filter_w, depth = w.shape
        rows = axis(in_h, filter_h, self.stride_h, self.dilation_h_factor, self.padding)
        columns = axis(in_w, filter_w, self.stride_w, self.dilation_w_factor, self.padding)
        groups = in_c // depth
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
            "depth": depth,
            "outputs": out // groups,
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
        for group in range(groups):
            part = slice(group * (out // groups), (group + 1) * (out // groups))
            place = {"x_channel": group * depth, "y_channel": part.start}
            if x.dtype == "float32":
                self._lower_float(n, part, {**common, **place})
            elif x.dtype == "int16":
                self._lower_int16(n, part, {**common, **place})
            else:
                self._lower_int8(n, part, {**common, **place}, rows.out)

    def _lower_float(self, n: Lowering, part: slice, common: dict[str, Any]) -> None:
        low, high = fixedpoint.activation_range_float(self.fused_activation_function)
        w = n.constant(1)[part]
        bias = n.constant(2).reshape(-1)[part] if n.has(2) else np.zeros(len(w), np.float32)
        common |= {"act_min": low, "act_max": high}
        if n.arch.float_lanes:
            lanes_f32.lower_conv(n, w, bias, {**common, "out_h": common["rows"]})
        else:
            common |= {"w": n.const(w, "weights"), "bias": n.const(bias, "bias")}
            n.call("thm_conv_2d_f32", **common)

    def _requantization(self, n: Lowering, part: slice) -> dict[str, Any]:
        w, y = n.x(1), n.y()
        q, s = multipliers(n, w)
        low, high = fixedpoint.activation_range(
            self.fused_activation_function, y.dtype, y.scale, y.zero_point
        )
        per_channel = len(q) > 1
        return {
            "multiplier": n.const(q[part] if per_channel else q, "multiplier"),
            "shift": n.const(s[part] if per_channel else s, "shift"),
            "act_min": low,
            "act_max": high,
            "per_channel": int(per_channel),
        }

    def _lower_int16(self, n: Lowering, part: slice, common: dict[str, Any]) -> None:
        bias = n.constant(2).reshape(-1) if n.has(2) else np.zeros(n.x(1).shape[0], np.int64)
        n.call(
            "thm_conv_2d_s16",
            w=n.const(n.constant(1)[part], "weights"),
            bias=n.const(bias[part].astype(np.int64), "bias"),
            wide=int(not n.has(2) or n.x(2).dtype == "int64"),
            **self._requantization(n, part),
            **common,
        )

    def _lower_int8(self, n: Lowering, part: slice, common: dict[str, Any], out_h: int) -> None:
        w = int_weights(n.x(1))[part]
        bias = n.constant(2).reshape(-1)[part] if n.has(2) else np.zeros(len(w), np.int32)
        lower_int8(n, w, bias, {**self._requantization(n, part), **common, "out_h": out_h})


def windows_times_weights(op: Any, x: Array, w: Array) -> Array:
    """Ungrouped convolution without bias: x [N, H, W, C], w [O, FH, FW, C] -> [N, OH, OW, O]."""
    out, filter_h, filter_w, _ = w.shape
    rows = axis(x.shape[1], filter_h, op.stride_h, op.dilation_h_factor, op.padding)
    columns = axis(x.shape[2], filter_w, op.stride_w, op.dilation_w_factor, op.padding)
    padded = pad_image(x, rows, columns, op.stride_h, op.stride_w)
    y = np.zeros((x.shape[0], rows.out, columns.out, out), x.dtype)
    for ky in range(filter_h):
        for kx in range(filter_w):
            taps = window_taps(padded, op, rows.out, columns.out, ky, kx)
            y += taps @ w[:, ky, kx, :].T
    return y


def pad_image(x: Array, rows: Any, columns: Any, stride_h: int, stride_w: int) -> Array:
    """x with zeros round it, so that every tap of every window exists."""
    bottom = max((rows.out - 1) * stride_h + rows.extent - rows.pad - x.shape[1], 0)
    right = max((columns.out - 1) * stride_w + columns.extent - columns.pad - x.shape[2], 0)
    return np.pad(x, ((0, 0), (rows.pad, bottom), (columns.pad, right), (0, 0)))


def window_taps(padded: Array, op: Any, out_h: int, out_w: int, ky: int, kx: int) -> Array:
    """The element of every window at filter position (ky, kx): [N, OH, OW, C], a view."""
    y0, x0 = ky * op.dilation_h_factor, kx * op.dilation_w_factor
    return padded[
        :,
        y0 : y0 + (out_h - 1) * op.stride_h + 1 : op.stride_h,
        x0 : x0 + (out_w - 1) * op.stride_w + 1 : op.stride_w,
        :,
    ]


# --- twins ----------------------------------------------------------------------------------------


def gather_windows(p: Any, oy: int, x: Array, channels: slice, fill: int | float) -> Array:
    """All patches of output row oy: [out_w, filter_h, filter_w, C], `fill` outside the image."""
    image = x[: p.x_ring * p.in_w * p.in_c].reshape(p.x_ring, p.in_w, p.in_c)
    iy = oy * p.stride_h - p.pad_top + np.arange(p.filter_h) * p.dilation_h
    ix = (np.arange(p.out_w) * p.stride_w - p.pad_left)[:, None] + (
        np.arange(p.filter_w) * p.dilation_w
    )[None, :]
    valid_y, valid_x = (iy >= 0) & (iy < p.in_h), (ix >= 0) & (ix < p.in_w)
    taps = image[
        np.where(valid_y, iy, 0)[None, :, None] % p.x_ring, np.where(valid_x, ix, 0)[:, None, :]
    ][..., channels]
    valid = valid_y[None, :, None] & valid_x[:, None, :]
    return np.where(valid[..., None], taps, np.asarray(fill, x.dtype))


def _store_row(p: Any, oy: int, y: Array, values: Array) -> None:
    image = y[: p.y_ring * p.out_w * p.out_c].reshape(p.y_ring, p.out_w, p.out_c)
    image[oy % p.y_ring, :, p.y_channel : p.y_channel + p.outputs] = values


def thm_conv_2d_s8(
    p: Any,
    y_first: int,
    y_count: int,
    x: Array,
    w: Array,
    bias: Array,
    multiplier: Array,
    shift: Array,
    scratch: Array | None,
    y: Array,
) -> None:
    """Twin of the kernel of the same name."""
    length = p.filter_h // p.segments * p.filter_w * p.depth
    weights = packing.unpack(w, p.outputs, p.segments, length, p.oc_block, p.k_block)
    flat = weights.reshape(p.outputs, -1).astype(np.float64)
    channels = slice(p.x_channel, p.x_channel + p.depth)
    for oy in range(y_first, y_first + y_count):
        patches = gather_windows(p, oy, x, channels, p.x_zero).reshape(p.out_w, -1)
        # float64 holds these sums exactly (below 2^53) and has a fast matrix product.
        sums = (patches.astype(np.float64) @ flat.T).astype(np.int64)
        acc = fixedpoint.wrap32(sums + bias[: p.outputs])
        q = fixedpoint.mbqm(acc, multiplier, shift) + p.output_offset
        _store_row(p, oy, y, np.clip(q, p.act_min, p.act_max))


def thm_conv_2d_s16(
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
    size = p.filter_h * p.filter_w * p.depth
    flat = w[: p.outputs * size].reshape(p.outputs, size).astype(np.float64)
    channels = slice(p.x_channel, p.x_channel + p.depth)
    for oy in range(y_first, y_first + y_count):
        patches = gather_windows(p, oy, x, channels, 0).reshape(p.out_w, -1)
        acc = (patches.astype(np.float64) @ flat.T).astype(np.int64) + bias[: p.outputs]
        if p.wide:
            q = fixedpoint.mbqm64(acc, multiplier, shift)
        else:
            q = fixedpoint.mbqm(fixedpoint.wrap32(acc), multiplier, shift)
        _store_row(p, oy, y, np.clip(q, p.act_min, p.act_max))


def thm_conv_2d_f32(
    p: Any, y_first: int, y_count: int, x: Array, w: Array, bias: Array, y: Array
) -> None:
    """Twin of the kernel of the same name: the order of the sums is the kernel's.

    A tap outside the image adds +0.0 * w instead of nothing, which changes no bit of a finite sum
    that starts at +0.0.
    """
    size = p.filter_h * p.filter_w * p.depth
    weights = w[: p.outputs * size].reshape(p.outputs, size)
    channels = slice(p.x_channel, p.x_channel + p.depth)
    for oy in range(y_first, y_first + y_count):
        patches = gather_windows(p, oy, x, channels, 0.0).reshape(p.out_w, -1)
        acc = np.zeros((p.out_w, p.outputs), np.float32)
        for k in range(size):
            acc += patches[:, k, None] * weights[None, :, k]
        values = np.clip(acc + bias[: p.outputs], np.float32(p.act_min), np.float32(p.act_max))
        _store_row(p, oy, y, values)
