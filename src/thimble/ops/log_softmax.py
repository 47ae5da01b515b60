"""LOG_SOFTMAX: y[..., i] = x[..., i] - max - log(sum_j exp(x[..., j] - max)).

x [..., depth] -> y of the same shape; each vector of the last axis on its own. int8 (output scale
16/256, zero point 127) and float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from thimble import fixedpoint, libm
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
from thimble.ops.softmax import (
    EXP_BITS,
    MAX_DEPTH,
    SUM_BITS,
    exp_multiplier,
    exp_of_differences,
    exp_table,
    last_axis_rows,
    vectors_of,
)
from thimble.program import Window


def _output_quantization(n: NodeView) -> bool:
    y = n.y()
    return y.dtype == "float32" or (float(y.scale) == 16 / 256 and y.zero_point == 127)


@dataclass(frozen=True)
class LogSoftmax(Op):
    name: ClassVar[str] = "LOG_SOFTMAX"
    options_table: ClassVar[str] = "LogSoftmaxOptions"
    quant: ClassVar[QuantRule] = QuantRule(output="fixed", fixed={"int8": (16 / 256, 127)})

    limits: ClassVar[Sequence[Limit]] = (
        types("float32 -> float32", "int8 -> int8"),
        arity(1),
        Limit(
            "input and output must have the same shape, of rank 1 at least and not empty",
            lambda n: n.x().shape == n.y().shape and len(n.x().shape) >= 1 and n.x().elements > 0,
            lambda n: f"{list(n.x().shape)} -> {list(n.y().shape)}",
        ),
        Limit(
            "vectors may have 4095 elements of int8 at most",
            lambda n: n.x().shape[-1] <= MAX_DEPTH[n.x().dtype],
            lambda n: str(n.x().shape[-1]),
        ),
        per_tensor(),
        Limit(
            "int8 output must have scale 16/256 and zero point 127",
            _output_quantization,
            lambda n: f"{float(n.y().scale):.9g}, {n.y().zero_point}",
        ),
        Limit(
            "the scale of int8 input must be above 2^-25",
            lambda n: n.x().dtype != "int8" or float(n.x().scale) > 2.0**-25,
            lambda n: f"{float(n.x().scale):.9g}",
        ),
    )

    def infer(self, inputs: Sequence[Tensor | None]) -> tuple[TensorType, ...]:
        x = inputs[0]
        assert x is not None
        return (TensorType(x.shape, x.dtype),)

    def real(self, *inputs: Array | None) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        below = x - x.max(axis=-1, keepdims=True)
        return (below - np.log(np.exp(below).sum(axis=-1, keepdims=True)),)

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
            n.call("thm_log_softmax_f32", **common)
            return
        q, s = exp_multiplier(1.0, x.scale)
        reverse_q, reverse_s = fixedpoint.quantize_multiplier(2.0 ** (31 - s) / q)
        reach = min(fixedpoint.input_radius(EXP_BITS, s) + 1, 256)
        n.call(
            "thm_log_softmax_s8",
            table=n.const(exp_table(q, s, reach), "exp") if y.elements >= reach else None,
            multiplier=q,
            shift=s,
            reach=reach,
            reverse_multiplier=reverse_q,
            reverse_shift=reverse_s,
            **common,
        )


# --- twins ----------------------------------------------------------------------------------------


def log_f12_to_f5(x: Array) -> Array:
    """log(x) as F5 for x >= 1 as F12 (docs/numerics.md, LOG_SOFTMAX)."""
    f = fixedpoint
    sqrt_half, sqrt_sqrt_half, log_2 = 1518500250, 1805811301, 1488522236
    x = np.asarray(x, np.int64)

    def clamp32(v: Array) -> Array:
        return np.clip(v, f.INT32_MIN, f.INT32_MAX)

    def shifted(v: Array, shift: Array | int) -> Array:
        return clamp32(v << np.asarray(shift, np.int64))

    zeros_a = f.clz32(x)
    zeros_b = f.clz32(f.srdhm(x, sqrt_half)) - 1
    r_a = shifted(f.srdhm(shifted(x, zeros_a - 1), sqrt_half), 1)
    r_b = shifted(x, zeros_b)
    e_a = clamp32(shifted(SUM_BITS - zeros_a, 25) + (1 << 23))
    e_b = clamp32(shifted(SUM_BITS - zeros_b, 25) - (1 << 23))
    r, e = np.minimum(r_a, r_b), np.maximum(e_a, e_b)
    p = (r + sqrt_sqrt_half + 1) >> 1
    q = (r - sqrt_sqrt_half) * 2
    q2 = f.srdhm(q, q)
    numerator = f.srdhm(q, r) + f.srdhm(f.srdhm(q, q2), 117049297)
    denominator_less_1 = f.srdhm(p, 1057819769 + q + f.srdhm(q2, 127690142)) + f.srdhm(q, 638450708)
    fraction = f.srdhm(f.rdivpot(numerator, 6), f.one_over_one_plus_x(denominator_less_1))
    return shifted(f.srdhm(e, log_2) + fraction, 1)


def thm_log_softmax_s8(
    p: Any, y_first: int, y_count: int, x: Array, table: Array | None, y: Array
) -> None:
    """Twin of the kernel of the same name."""
    for from_x, to in vectors_of(p, y_first, y_count, x, y):
        values = from_x.astype(np.int64)
        d = values - values.max(axis=1, keepdims=True)
        e = exp_of_differences(p, -d, table)
        log_sum = log_f12_to_f5(fixedpoint.rdivpot(e, SUM_BITS).sum(axis=1, keepdims=True))
        lowest = np.maximum(
            -p.reach,
            fixedpoint.mbqm(log_sum + fixedpoint.INT32_MIN, p.reverse_multiplier, p.reverse_shift),
        )
        near = np.maximum(d, 1 - p.reach)
        scaled = fixedpoint.srdhm(fixedpoint.wrap32(near << p.shift), p.multiplier)
        q = fixedpoint.rdivpot(scaled - log_sum, 22) + 127
        to[...] = np.clip(np.where(d > lowest, q, -128), -128, 127)


def thm_log_softmax_f32(p: Any, y_first: int, y_count: int, x: Array, y: Array) -> None:
    """Twin of the kernel of the same name: libm's expf and logf, one addition at a time."""
    for values, to in vectors_of(p, y_first, y_count, x, y):
        top = values[:, 0]
        for i in range(1, p.depth):
            top = np.where(top < values[:, i], values[:, i], top)
        below = values - top[:, None]
        e = libm.unary("exp")(below)
        total = np.zeros(p.vectors, np.float32)
        for i in range(p.depth):
            total += e[:, i]
        to[...] = below - libm.unary("log")(total)[:, None]
