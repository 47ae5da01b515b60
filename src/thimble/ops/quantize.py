"""QUANTIZE: y = clamp(round(real(x) / scale_y) + zero_point_y), halves away from zero.

x [...] float32 -> int8, uint8, int16; or quantized x to another scale or dtype: int8, uint8,
int16 and int32 between each other. Everything per tensor.

Exception: float values beyond int32 saturate (TFLM converts them undefined), NaN gives the
lowest value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from thimble import fixedpoint
from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.block_copy import arity
from thimble.ops.cast import ELEMENT_TYPES, call_rows, same_shape, typed
from thimble.ops.contract import Array, Limit, NodeView, Op, QuantRule, TensorType

QUANTIZED = ("int8", "uint8", "int16", "int32")


def has_one_scale(tensor: Tensor) -> bool:
    """Whether the tensor is quantized per tensor with a positive scale."""
    return (
        tensor.quant is not None
        and len(tensor.quant.scale) == len(tensor.quant.zero_point) == 1
        and float(tensor.quant.scale[0]) > 0
    )


def _ratio_fits(n: NodeView) -> bool:
    return n.x().dtype == "float32" or float(n.x().scale) / float(n.y().scale) < 2.0**30


@dataclass(frozen=True)
class Quantize(Op):
    name: ClassVar[str] = "QUANTIZE"
    options_table: ClassVar[str] = "QuantizeOptions"
    quant: ClassVar[QuantRule] = QuantRule(quantizable=False)

    limits: ClassVar[Sequence[Limit]] = (
        arity(1),
        Limit(
            f"the input must be float32 or {', '.join(QUANTIZED)}, and the output one of these,"
            " but not int32 for a float input",
            lambda n: (
                n.x().dtype in ("float32", *QUANTIZED)
                and n.y().dtype in QUANTIZED
                and (n.x().dtype, n.y().dtype) != ("float32", "int32")
            ),
            lambda n: f"{n.x().dtype} -> {n.y().dtype}",
        ),
        Limit(
            "quantized tensors must have one positive scale",
            lambda n: has_one_scale(n.y()) and (n.x().dtype == "float32" or has_one_scale(n.x())),
            lambda n: ", ".join(
                f"{0 if t.quant is None else len(t.quant.scale)} scales" for t in (n.x(), n.y())
            ),
        ),
        same_shape(),
        Limit(
            "the input's scale must be less than 2^30 times the output's",
            _ratio_fits,
            lambda n: f"{n.x().scale:g} -> {n.y().scale:g}",
        ),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x = inputs[0]
        assert x is not None
        return (TensorType(x.shape, "int8"),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        return (x,)

    def lower(self, n: Lowering) -> None:
        x, y = n.x(), n.y()
        low, high = fixedpoint.LIMITS[y.dtype]
        output: dict[str, Any] = {
            "x": n.input(),
            "y_type": ELEMENT_TYPES[y.dtype],
            "output_offset": y.zero_point,
            "act_min": low,
            "act_max": high,
        }
        if x.dtype == "float32":
            call_rows(n, "thm_quantize_f32", scale=y.scale, **output)
            return
        ratio = np.float64(x.scale) / np.float64(y.scale)
        multiplier, shift = fixedpoint.quantize_multiplier(float(ratio))
        call_rows(
            n,
            "thm_quantize_int",
            x_type=ELEMENT_TYPES[x.dtype],
            input_offset=-x.zero_point,
            multiplier=multiplier,
            shift=shift,
            **output,
        )


def thm_quantize_f32(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    ys = typed(y, p.y_type)
    low = np.float32(p.act_min - p.output_offset)
    high = np.float32(p.act_max - p.output_offset)
    for r in range(y_first, y_first + y_count):
        with np.errstate(over="ignore"):
            q = x[r % p.x_ring * p.row :][: p.row] / np.float32(p.scale)
        q = np.where(q > low, q, low)
        q = np.where(q < high, q, high)
        whole = q.astype(np.int32)
        rest = q - whole.astype(np.float32)
        whole = whole + (rest >= 0.5) - (rest <= -0.5)
        ys[r % p.y_ring * p.row :][: p.row] = whole + p.output_offset


def thm_quantize_int(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name."""
    xs, ys = typed(x, p.x_type), typed(y, p.y_type)
    for r in range(y_first, y_first + y_count):
        row = xs[r % p.x_ring * p.row :][: p.row].astype(np.int64)
        real = fixedpoint.wrap32(row + p.input_offset)
        value = fixedpoint.mbqm(real, p.multiplier, p.shift) + p.output_offset
        ys[r % p.y_ring * p.row :][: p.row] = np.clip(value, p.act_min, p.act_max)
