"""SOFTMAX: y[..., i] = exp(beta * (x[..., i] - max)) / sum_j exp(beta * (x[..., j] - max)).

x [..., depth] -> y of the same shape; each vector of the last axis on its own. int8 -> int8 (scale
1/256, zero point -128), int8 -> int16 (1/65536, -32768), int16 (1/32768, 0) and float32.
Exception: where the exps of an int8 vector sum up to over 512 times the largest, TFLM shifts a 32
bit word by more than 31 bits; the result is then 0, as it should be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite, prod
from typing import Any, ClassVar

import numpy as np

from thimble import fixedpoint, libm, lut16
from thimble.graph import Tensor
from thimble.lower import Lowering
from thimble.ops.broadcast import arity
from thimble.ops.contract import (
    Array,
    Limit,
    NodeView,
    Op,
    QuantRule,
    Shape,
    TensorType,
    per_tensor,
    types,
)
from thimble.program import Window

SUM_BITS = 12  # integer bits of the sum of exps: THM_SOFTMAX_SUM_BITS
EXP_BITS = 5  # integer bits of the scaled differences
EXP_TABLE_SCALE = 10.0 / 65535.0  # the int16 exp table covers [-10, 0]
MAX_DEPTH = {"int8": 4095, "int16": 65535, "float32": 1 << 28}
# (input, output) -> the output's scale and zero point that TFLM asks for, its tolerance of scale
OUTPUT = {
    ("int8", "int8"): (1 / 256, -128, 0.0),
    ("int8", "int16"): (1 / 65536, -32768, 0.001),
    ("int16", "int16"): (1 / 32768, 0, 0.001),
}


def last_axis_rows(shape: Shape) -> tuple[int, int, int]:
    """(rows, vectors per row, depth) of an op on the vectors of the last axis."""
    if len(shape) >= 3 and shape[0] == 1:
        return shape[1], prod(shape[2:-1]), shape[-1]
    return 1, prod(shape[:-1]), shape[-1]


def exp_multiplier(beta: float, scale: np.float32) -> tuple[int, int]:
    """(q, s) that bring an int8 difference to F5, s >= 0."""
    factor = min(float(np.float64(np.float32(beta)) * np.float64(scale) * 2.0**26), 2.0**31 - 1)
    return fixedpoint.quantize_multiplier(factor)


def _output_quantization(n: NodeView) -> bool:
    if n.x().dtype == "float32":
        return True
    scale, zero_point, tolerance = OUTPUT[n.x().dtype, n.y().dtype]
    return abs(float(n.y().scale) - scale) <= tolerance * scale and n.y().zero_point == zero_point


def _beta_fits(n: NodeView) -> bool:
    if not isfinite(n.op.beta):
        return False
    if n.x().dtype == "float32":
        return True
    factor = float(np.float32(n.op.beta)) * float(n.x().scale)
    return factor * 2.0**26 > 1 if n.x().dtype == "int8" else 0 < factor < 5


@dataclass(frozen=True)
class Softmax(Op):
    name: ClassVar[str] = "SOFTMAX"
    options_table: ClassVar[str] = "SoftmaxOptions"
    quant: ClassVar[QuantRule] = QuantRule(
        output="fixed", fixed={"int8": (1 / 256, -128), "int16": (1 / 32768, 0)}
    )

    beta: float = 0.0

    limits: ClassVar[Sequence[Limit]] = (
        types("float32 -> float32", "int8 -> int8", "int8 -> int16", "int16 -> int16"),
        arity(1),
        Limit(
            "input and output must have the same shape, of rank 1 at least and not empty",
            lambda n: n.x().shape == n.y().shape and len(n.x().shape) >= 1 and n.x().elements > 0,
            lambda n: f"{list(n.x().shape)} -> {list(n.y().shape)}",
        ),
        Limit(
            "vectors may have 4095 elements of int8 or 65535 of int16 at most",
            lambda n: n.x().shape[-1] <= MAX_DEPTH[n.x().dtype],
            lambda n: str(n.x().shape[-1]),
        ),
        per_tensor(),
        Limit(
            "the output must have scale 1/256, zero point -128 (int8), 1/65536, -32768 (int8 to "
            "int16), 1/32768, 0 (int16)",
            _output_quantization,
            lambda n: f"{float(n.y().scale):.9g}, {n.y().zero_point}",
        ),
        Limit(
            "beta must be finite, and beta x input scale above 2^-26 for int8, in (0, 5) for int16",
            _beta_fits,
            lambda n: f"beta {n.op.beta}",
        ),
        Limit(
            "int16 input must have zero point 0",
            lambda n: n.x().dtype != "int16" or n.x().zero_point == 0,
            lambda n: str(n.x().zero_point),
        ),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x = inputs[0]
        assert x is not None
        return (TensorType(x.shape, x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        exps = np.exp((x - x.max(axis=-1, keepdims=True)) * x.dtype.type(self.beta))
        return (exps / exps.sum(axis=-1, keepdims=True),)

    def lower(self, n: Lowering) -> None:
        x, y = n.x(), n.y()
        rows, vectors, depth = last_axis_rows(x.shape)
        common: dict[str, Any] = {
            "rows": rows,
            "windows": {"x": Window()} if rows > 1 else {},
            "x": n.input(),
            "y": n.output(),
            "vectors": vectors,
            "depth": depth,
            "x_ring": rows,
            "y_ring": rows,
        }
        if x.dtype == "float32":
            n.call("thm_softmax_f32", beta=float(np.float32(self.beta)), **common)
            return
        if x.dtype == "int16":
            factor = np.float64(x.scale) * np.float64(np.float32(self.beta)) / EXP_TABLE_SCALE
            q, s = fixedpoint.quantize_multiplier(float(factor))
            n.call(
                "thm_softmax_s16",
                exp_table=n.const(exp_table_s16(), "exp"),
                reciprocal_table=n.const(reciprocal_table_s16(), "reciprocal"),
                multiplier=q,
                shift=s,
                **common,
            )
            return
        q, s = exp_multiplier(self.beta, x.scale)
        reach = min(fixedpoint.input_radius(EXP_BITS, s) + 1, 256)
        # Computing an exp takes some hundred instructions, twice; a table takes 4 * reach bytes.
        has_table = y.elements >= reach
        n.call(
            "thm_softmax_s8" if y.dtype == "int8" else "thm_softmax_s8_s16",
            table=n.const(exp_table(q, s, reach), "exp") if has_table else None,
            multiplier=q,
            shift=s,
            reach=reach,
            **common,
        )


def exp_table(multiplier: int, shift: int, reach: int) -> Array:
    """exp of -0, -1, ... -(reach - 1) steps of the input, as F0: int32 [reach]."""
    return _exp_s8(-np.arange(reach), multiplier, shift).astype(np.int32)


@cache
def exp_table_s16() -> Array:
    """exp over [-10, 0], in 2/65535."""
    return lut16.table(np.exp, EXP_TABLE_SCALE, 32767, 2.0 / 65535.0, 0)


@cache
def reciprocal_table_s16() -> Array:
    """1 / (1 + x) over [0, 1], in 1/65535, zero point -32768 in and 0 out."""
    return lut16.table(lambda x: 1 / (1 + x), 1.0 / 65535.0, -32768, 2.0 / 65535.0, 0)


# --- twins ----------------------------------------------------------------------------------------


def vectors_of(
    p: Any, y_first: int, y_count: int, x: Array, y: Array
) -> Iterator[tuple[Array, Array]]:
    """Row by row: the vectors of x (a copy) and of y (a view), each [vectors, depth]."""
    row = p.vectors * p.depth
    for r in range(y_first, y_first + y_count):
        start, to = r % p.x_ring * row, r % p.y_ring * row
        shape = (p.vectors, p.depth)
        yield x[start : start + row].copy().reshape(shape), y[to : to + row].reshape(shape)


def _exp_s8(difference: Array, multiplier: int, shift: int) -> Array:
    """exp of differences <= 0 within reach, as F0."""
    scaled = fixedpoint.srdhm(fixedpoint.wrap32(difference.astype(np.int64) << shift), multiplier)
    return fixedpoint.exp_on_negative(scaled, EXP_BITS)


def exp_of_differences(p: Any, below: Array, table: Array | None) -> Array:
    """Twin of thm_softmax_exp: exp of `below` >= 0 steps under the largest, 0 out of reach."""
    near = np.minimum(below, p.reach - 1)
    e = _exp_s8(-near, p.multiplier, p.shift) if table is None else table[near]
    return np.where(below < p.reach, e.astype(np.int64), 0)


def _softmax_s8(
    p: Any, y_first: int, y_count: int, x: Array, table: Array | None, y: Array, out_bits: int
) -> None:
    info = np.iinfo(y.dtype)
    for from_x, to in vectors_of(p, y_first, y_count, x, y):
        values = from_x.astype(np.int64)
        e = exp_of_differences(p, values.max(axis=1, keepdims=True) - values, table)
        total = fixedpoint.wrap32(fixedpoint.rdivpot(e, SUM_BITS).sum(axis=1, keepdims=True))
        factor, bits = fixedpoint.reciprocal(total, SUM_BITS)
        exponent = bits + 31 - out_bits
        rounded = fixedpoint.rdivpot(fixedpoint.srdhm(e, factor), np.minimum(exponent, 31))
        to[...] = np.minimum(np.where(exponent > 31, 0, rounded) + info.min, info.max)


def thm_softmax_s8(
    p: Any, y_first: int, y_count: int, x: Array, table: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    _softmax_s8(p, y_first, y_count, x, table, y, 8)


def thm_softmax_s8_s16(
    p: Any, y_first: int, y_count: int, x: Array, table: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    _softmax_s8(p, y_first, y_count, x, table, y, 16)


def thm_softmax_s16(
    p: Any,
    y_first: int,
    y_count: int,
    x: Array,
    exp_table: Array,
    reciprocal_table: Array,
    y: Array,
) -> None:
    """Twin of the kernel of the same name."""
    for from_x, to in vectors_of(p, y_first, y_count, x, y):
        values = from_x.astype(np.int64)
        d = fixedpoint.mbqm(values - values.max(axis=1, keepdims=True), p.multiplier, p.shift)
        e = lut16.lookup(exp_table, np.maximum(d + 32767, -32768))
        total = e.sum(axis=1, keepdims=True)
        headroom = fixedpoint.clz32(total)
        mantissa = ((total << (headroom - 1)) + (1 << 13)) >> 14
        factor = lut16.lookup(reciprocal_table, np.clip(mantissa - 98304, -32768, 32767))
        q = (e * factor + (np.int64(1) << (30 - headroom))) >> (31 - headroom)
        to[...] = np.clip(q, 0, 32767)


def thm_softmax_f32(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name: libm's expf, the sum one addition at a time."""
    exp = libm.unary("exp")
    for values, to in vectors_of(p, y_first, y_count, x, y):
        top = values[:, 0]
        for i in range(1, p.depth):
            top = np.where(top < values[:, i], values[:, i], top)
        e = exp((values - top[:, None]) * np.float32(p.beta))
        total = np.zeros(p.vectors, np.float32)
        for i in range(p.depth):
            total += e[:, i]
        to[...] = e / total[:, None]
