"""DEQUANTIZE: y = scale * (x - zero_point), float32.

x [...] int8, uint8, int16, or constant int4, per tensor or per channel of one axis; or a float16
constant.

Exception: TFLM takes the first scale for all channels; here every channel has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.block_copy import arity
from thimble.ops.cast import ELEMENT_TYPES, call_rows, same_shape, typed
from thimble.ops.contract import Array, Limit, NodeView, Op, QuantRule, TensorType, int_weights

CONSTANT_ONLY = ("float16", "int4")


def _scale_count(n: NodeView) -> int:
    q = n.x().quant
    return 0 if q is None else len(q.scale)


def _scales_fit(n: NodeView) -> bool:
    x = n.x()
    if x.dtype == "float16":
        return True
    q = x.quant
    if q is None or len(q.scale) == 0 or len(q.scale) != len(q.zero_point):
        return False
    per_tensor = len(q.scale) == 1
    return per_tensor or (0 <= q.axis < len(x.shape) and x.shape[q.axis] == len(q.scale))


@dataclass(frozen=True)
class Dequantize(Op):
    name: ClassVar[str] = "DEQUANTIZE"
    options_table: ClassVar[str] = "DequantizeOptions"
    quant: ClassVar[QuantRule] = QuantRule(quantizable=False)

    limits: ClassVar[Sequence[Limit]] = (
        arity(1),
        Limit(
            "the input must be int8, uint8, int16, int4 or float16, the output float32",
            lambda n: (
                n.x().dtype in ("int8", "uint8", "int16", *CONSTANT_ONLY)
                and n.y().dtype == "float32"
            ),
            lambda n: f"{n.x().dtype} -> {n.y().dtype}",
        ),
        Limit(
            "a float16 or int4 input must be a constant",
            lambda n: n.x().dtype not in CONSTANT_ONLY or n.x().is_constant,
        ),
        same_shape(),
        Limit(
            "the input must have one scale, or one for each element of its quantized axis",
            _scales_fit,
            lambda n: f"{_scale_count(n)} scales",
        ),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x = inputs[0]
        assert x is not None
        return (TensorType(x.shape, "float32"),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        return (x.astype(np.float32),)

    def lower(self, n: Lowering) -> None:
        x = n.x()
        if x.dtype == "float16":
            values = n.const(n.constant(0).astype(np.float32), "float32")
            n.call("thm_copy", x=values, y=n.output(), bytes=n.y().bytes)
            return
        assert x.quant is not None
        data = n.const(int_weights(x), "int8") if x.dtype == "int4" else n.input()
        x_type = ELEMENT_TYPES["int8" if x.dtype == "int4" else x.dtype]
        if not x.quant.is_per_channel:
            scale, offset = float(x.scale), -x.zero_point
            call_rows(n, "thm_dequantize", x=data, x_type=x_type, input_offset=offset, scale=scale)
            return
        call_rows(
            n,
            "thm_dequantize_channels",
            x=data,
            x_type=x_type,
            scale=n.const(x.quant.scale.astype(np.float32), "scale"),
            zero_point=n.const(x.quant.zero_point.astype(np.int32), "zero point"),
            channels=len(x.quant.scale),
            inner=prod(x.shape[x.quant.axis + 1 :]),
        )


def thm_dequantize(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    xs = typed(x, p.x_type)
    for r in range(y_first, y_first + y_count):
        q = xs[r % p.x_ring * p.row :][: p.row].astype(np.int32) + p.input_offset
        y[r % p.y_ring * p.row :][: p.row] = np.float32(p.scale) * q.astype(np.float32)


def thm_dequantize_channels(
    p: Any, y_first: int, y_count: int, x: Array, scale: Array, zero_point: Array, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    xs = typed(x, p.x_type)
    for r in range(y_first, y_first + y_count):
        c = (r * p.row + np.arange(p.row)) // p.inner % p.channels
        q = xs[r % p.x_ring * p.row :][: p.row].astype(np.int32) - zero_point[c]
        y[r % p.y_ring * p.row :][: p.row] = scale[c] * q.astype(np.float32)
