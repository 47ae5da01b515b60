"""AVERAGE_POOL_2D, MAX_POOL_2D: y[n, oy, ox, c] = clamp(average or maximum of a window of x).

x [N, H, W, C] -> y [N, OH, OW, C]; the window is x[n, iy, ix, c] with ix likewise and
oy * stride_h - pad_top <= iy < oy * stride_h - pad_top + filter_height. Only elements inside the
image count, also in the divisor of the average. int8, int16 and float32. Integers are averaged raw
(input and output have one scale and zero point) and rounded half away from zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from thimble import fixedpoint
from thimble.geometry import axis
from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.broadcast import arity
from thimble.ops.contract import (
    Array,
    Limit,
    NodeView,
    Op,
    QuantRule,
    TensorType,
    per_tensor,
    types,
)
from thimble.ops.row_sums import average_image
from thimble.program import Window

ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
SUFFIX = {"int8": "s8", "int16": "s16", "float32": "f32"}
SAME_SCALE = 1e-6  # TFLM's tolerance for "input and output have the same scale"


def same_quantization(n: NodeView) -> bool:
    """Whether input 0 and output 0 mean the same by a raw value; true of floats."""
    x, y = n.x(), n.y()
    if x.dtype not in ("int8", "int16"):
        return True
    return abs(float(x.scale) - float(y.scale)) <= SAME_SCALE and x.zero_point == y.zero_point


SAME_QUANTIZATION = Limit(
    "input and output must have the same scale and zero point",
    same_quantization,
    lambda n: (
        f"{float(n.x().scale):.9g} and {float(n.y().scale):.9g}, "
        f"{n.x().zero_point} and {n.y().zero_point}"
    ),
)


@dataclass(frozen=True)
class Pool2D(Op):
    """What the two ops share."""

    options_table: ClassVar[str] = "Pool2DOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="same")

    padding: str = "SAME"
    stride_w: int = 0
    stride_h: int = 0
    filter_width: int = 0
    filter_height: int = 0
    fused_activation_function: str = "NONE"

    limits: ClassVar[Sequence[Limit]] = (
        types("float32 -> float32", "int8 -> int8", "int16 -> int16"),
        arity(1),
        Limit(
            "input must have rank 4 and no empty dimension",
            lambda n: len(n.x().shape) == 4 and n.x().elements > 0,
            lambda n: str(list(n.x().shape)),
        ),
        Limit(
            "filter and strides must be at least 1",
            lambda n: min(n.op.filter_height, n.op.filter_width, n.op.stride_h, n.op.stride_w) >= 1,
            lambda n: (
                f"filter {n.op.filter_height} x {n.op.filter_width}, "
                f"strides {n.op.stride_h} x {n.op.stride_w}"
            ),
        ),
        Limit(
            "padding must be SAME or VALID",
            lambda n: n.op.padding in ("SAME", "VALID"),
            lambda n: n.op.padding,
        ),
        Limit(
            "the output must have the shape that the window gives",
            lambda n: n.y().shape == n.op.infer(n.inputs)[0].shape and n.y().elements > 0,
            lambda n: f"{list(n.y().shape)} instead of {list(n.op.infer(n.inputs)[0].shape)}",
            "fix the batch size to 1 when exporting (shapes must be static)",
        ),
        Limit(
            "the fused activation must be NONE, RELU, RELU6 or RELU_N1_TO_1",
            lambda n: n.op.fused_activation_function in ACTIVATIONS,
            lambda n: n.op.fused_activation_function,
        ),
        per_tensor(),
        SAME_QUANTIZATION,
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x = inputs[0]
        assert x is not None
        batch, in_h, in_w, channels = x.shape
        rows = axis(in_h, self.filter_height, self.stride_h, 1, self.padding)
        columns = axis(in_w, self.filter_width, self.stride_w, 1, self.padding)
        return (TensorType((batch, rows.out, columns.out, channels), x.dtype),)

    def reduce_window(self, values: Array) -> Array:
        """[N, elements, C] -> [N, C]."""
        raise NotImplementedError(f"{self.name}.reduce_window")

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        batch, in_h, in_w, channels = x.shape
        rows = axis(in_h, self.filter_height, self.stride_h, 1, self.padding)
        columns = axis(in_w, self.filter_width, self.stride_w, 1, self.padding)
        y = np.empty((batch, rows.out, columns.out, channels), x.dtype)
        for oy, ox in np.ndindex(rows.out, columns.out):
            iy, ix = oy * self.stride_h - rows.pad, ox * self.stride_w - columns.pad
            window = x[:, max(iy, 0) : iy + self.filter_height, max(ix, 0) : ix + self.filter_width]
            y[:, oy, ox] = self.reduce_window(window.reshape(batch, -1, channels))
        low, high = fixedpoint.activation_range_float(self.fused_activation_function)
        return (np.clip(y, np.float32(low), np.float32(high)),)

    def lower(self, n: Lowering) -> None:
        x, y = n.x(), n.y()
        batch, in_h, in_w, channels = x.shape
        rows = axis(in_h, self.filter_height, self.stride_h, 1, self.padding)
        columns = axis(in_w, self.filter_width, self.stride_w, 1, self.padding)
        if x.dtype == "float32":
            act: tuple[float, float]
            act = fixedpoint.activation_range_float(self.fused_activation_function)
        else:
            act = fixedpoint.activation_range(
                self.fused_activation_function, y.dtype, y.scale, y.zero_point
            )
        clipped = (
            rows.pad > 0
            or columns.pad > 0
            or (rows.out - 1) * self.stride_h + self.filter_height > in_h
            or (columns.out - 1) * self.stride_w + self.filter_width > in_w
        )
        if (
            self.name == "AVERAGE_POOL_2D"
            and n.by_rows
            and x.dtype == "int8"
            and (batch, rows.out, columns.out) == (1, 1, 1)
            and self.filter_height - rows.pad >= in_h > 1
            and self.filter_width - columns.pad >= in_w
        ):
            average_image(n, (int(act[0]), int(act[1])))
            return
        n.call(
            f"thm_{self.name.lower()}_{SUFFIX[x.dtype]}",
            rows=rows.out,
            batches=batch,
            windows={"x": Window(self.stride_h, rows.pad, rows.extent)},
            x=replace(n.input(), batch_stride=x.bytes // batch),
            y=replace(n.output(), batch_stride=y.bytes // batch),
            in_h=in_h,
            in_w=in_w,
            channels=channels,
            out_w=columns.out,
            filter_h=self.filter_height,
            filter_w=self.filter_width,
            stride_h=self.stride_h,
            stride_w=self.stride_w,
            pad_top=rows.pad,
            pad_left=columns.pad,
            clipped=int(clipped),
            x_ring=in_h,
            y_ring=rows.out,
            act_min=act[0],
            act_max=act[1],
        )


def _sum_fits(n: NodeView) -> bool:
    x, op = n.x(), n.op
    window = min(op.filter_height, x.shape[1]) * min(op.filter_width, x.shape[2])
    return x.dtype == "float32" or window < {"int8": 1 << 24, "int16": 1 << 16}[x.dtype]


@dataclass(frozen=True)
class AveragePool2D(Pool2D):
    name: ClassVar[str] = "AVERAGE_POOL_2D"

    limits: ClassVar[Sequence[Limit]] = (
        *Pool2D.limits,
        Limit("a window must hold fewer than 2^24 int8 or 2^16 int16 elements", _sum_fits),
    )

    def reduce_window(self, values: Array) -> Array:
        return values.mean(axis=1)


@dataclass(frozen=True)
class MaxPool2D(Pool2D):
    name: ClassVar[str] = "MAX_POOL_2D"

    def reduce_window(self, values: Array) -> Array:
        return values.max(axis=1)


# --- twins ----------------------------------------------------------------------------------------


def _taps(p: Any, oy: int, x: Array) -> Iterator[tuple[slice, Array]]:
    """The window's elements in the kernel's order: (which ox have one, their values [ox, C])."""
    image = x[: p.x_ring * p.in_w * p.channels].reshape(p.x_ring, p.in_w, p.channels)
    iy = oy * p.stride_h - p.pad_top
    last = (p.out_w - 1) * p.stride_w - p.pad_left
    for sy in range(max(iy, 0), min(iy + p.filter_h, p.in_h)):
        row = image[sy % p.x_ring]
        for kx in range(max(0, -last), min(p.filter_w, p.in_w + p.pad_left)):
            first = max(0, -((kx - p.pad_left) // p.stride_w))
            count = min(p.out_w, (p.in_w - 1 - kx + p.pad_left) // p.stride_w + 1) - first
            if count > 0:
                start = first * p.stride_w - p.pad_left + kx
                yield slice(first, first + count), row[start :: p.stride_w][:count]


def _pool(p: Any, y_first: int, y_count: int, x: Array, y: Array, is_max: bool) -> None:
    is_float = x.dtype == np.float32
    lowest = np.finfo(np.float32).min if is_float else np.iinfo(x.dtype).min
    image = y[: p.y_ring * p.out_w * p.channels].reshape(p.y_ring, p.out_w, p.channels)
    for oy in range(y_first, y_first + y_count):
        acc = np.full(
            (p.out_w, p.channels), lowest if is_max else 0, np.float32 if is_float else np.int64
        )
        n = np.zeros((p.out_w, 1), np.int64)
        for ox, values in _taps(p, oy, x):
            acc[ox] = np.where(acc[ox] < values, values, acc[ox]) if is_max else acc[ox] + values
            n[ox] += 1
        if not is_max:
            acc = acc / n.astype(np.float32) if is_float else _divide(acc, n)
        image[oy % p.y_ring] = np.clip(acc, acc.dtype.type(p.act_min), acc.dtype.type(p.act_max))


def _divide(total: Array, n: Array) -> Array:
    return fixedpoint.tdiv(np.where(total > 0, total + n // 2, total - n // 2), n)


def thm_average_pool_2d_s8(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _pool(p, y_first, y_count, x, y, is_max=False)


def thm_average_pool_2d_s16(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _pool(p, y_first, y_count, x, y, is_max=False)


def thm_average_pool_2d_f32(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name: the order of the sum is the kernel's."""
    _pool(p, y_first, y_count, x, y, is_max=False)


def thm_max_pool_2d_s8(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _pool(p, y_first, y_count, x, y, is_max=True)


def thm_max_pool_2d_s16(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _pool(p, y_first, y_count, x, y, is_max=True)


def thm_max_pool_2d_f32(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    _pool(p, y_first, y_count, x, y, is_max=True)
