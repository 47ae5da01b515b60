"""EXP, LOG, SQRT, RSQRT, SQUARE, ABS, NEG, SIN, COS, FLOOR, CEIL, ROUND, SIGN.

Twins, peers, limits.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elementwise import LIBM, any_shape, random_quants, unary_case, unary_twins_agree
from hypothesis import given, settings
from hypothesis import strategies as st
from single_op import Case, Exempt, Operand, check, refused

from thimble import fixedpoint
from thimble.ops.elementary import (
    Abs,
    Ceil,
    Cos,
    Exp,
    Floor,
    Log,
    Neg,
    Round,
    Rsqrt,
    Sign,
    Sin,
    Sqrt,
    Square,
)

SEEDS = st.integers(0, 2**32 - 1)
EXACT = ("sqrt", "rsqrt", "square", "abs", "neg", "floor", "ceil", "round", "sign")


@given(any_shape(), SEEDS)
@settings(max_examples=20, deadline=None)
def test_twin_f32(shape, seed):
    for name in EXACT:
        unary_twins_agree(f"thm_{name}_f32", shape, "float32", {}, seed, calls_libm=name == "rsqrt")
    for name in ("exp", "log", "sin", "cos"):
        unary_twins_agree(f"thm_{name}_f32", shape, "float32", {}, seed, calls_libm=True)


@given(any_shape(), SEEDS, st.integers(2**30, 2**31 - 1), st.integers(-31, 30))
@settings(max_examples=60, deadline=None)
def test_twin_abs_s16(shape, seed, multiplier, shift):
    words = {"multiplier": multiplier, "shift": shift}
    unary_twins_agree("thm_abs_s16", shape, "int16", words, seed)


NOT_INT8_TFLM = {"tflm": Exempt("has no int8 of this op")}
NO_LITERT_REF = {"litert": Exempt("has it among the optimised kernels only")}
NOT_IN_TFLM = {"tflm": Exempt("has no such op")}
POSITIVE = tuple(np.random.default_rng(0).uniform(0.01, 9, (2, 1, 32, 16, 16)).astype(np.float32))


def from_zero(seed: int):
    """Zero point -128: no negative inputs."""
    (x_scale, _), y = random_quants(seed)
    return (x_scale, -128), y


CASES = [
    *(unary_case(f"ABS int8 {i}", Abs(), "int8", random_quants(i)) for i in range(6)),
    *(unary_case(f"RSQRT int8 {i}", Rsqrt(), "int8", from_zero(i)) for i in range(8)),
    *(
        unary_case(f"EXP int8 {i}", Exp(), "int8", random_quants(i), exempt=NOT_INT8_TFLM)
        for i in range(6)
    ),
    *(
        unary_case(f"LOG int8 {i}", Log(), "int8", random_quants(i), exempt=NOT_INT8_TFLM)
        for i in range(6)
    ),
    unary_case(
        "ABS int16",
        Abs(),
        "int16",
        ((1e-4, 0), (1.3e-4, 0)),
        exempt={"litert": Exempt("computes the ratio of the scales in float32", 1)},
    ),
    *(unary_case(f"{op.name} f32", op, "float32") for op in (Square(), Abs(), Neg(), Floor())),
    *(unary_case(f"{op.name} f32", op, "float32", exempt=LIBM) for op in (Exp(), Sin(), Cos())),
    *(
        unary_case(f"{op.name} f32", op, "float32", exempt=NO_LITERT_REF)
        for op in (Ceil(), Round())
    ),
    unary_case("SIGN f32", Sign(), "float32", exempt=NOT_IN_TFLM),
    unary_case("LOG f32", Log(), "float32", values=POSITIVE[:1], exempt=LIBM),
    unary_case("SQRT f32", Sqrt(), "float32", values=POSITIVE[:1]),
    unary_case("RSQRT f32", Rsqrt(), "float32", values=POSITIVE[1:]),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case):
    check(case)


@pytest.mark.parametrize("op", [Square(), Neg(), Sin(), Cos(), Sqrt()], ids=lambda op: op.name)
def test_int8_without_an_exact_peer_is_the_nearest_value(op):
    case = unary_case(op.name, op, "int8", ((0.02, -100), (0.03, -7)))
    (x,), (y,) = case.inputs, case.outputs
    with np.errstate(invalid="ignore"):
        real = op.function(x.scale * (np.arange(-128, 128) + 100.0))
    expected = np.clip(np.nan_to_num(np.floor(real / y.scale + 0.5) - 7, nan=-128), -128, 127)
    table = op.table(*_tensors(case))
    assert (
        np.abs(table - expected).max() <= 1
    )  # a float32 product may fall on the other side of a tie
    assert (table != expected).sum() <= 2


def _tensors(case: Case):
    from models import quantization

    from thimble.graph import Tensor

    return [
        Tensor("t", t.shape, t.dtype, quantization(t.scale, t.zero_point))
        for t in (*case.inputs, *case.outputs)
    ]


def test_negative_int8_inputs_of_rsqrt_saturate_like_zero():
    table = Rsqrt().table(*_tensors(unary_case("", Rsqrt(), "int8", ((0.1, 0), (0.05, 0)))))
    assert (table[:129] == 127).all()
    assert table[255] == round(1 / np.sqrt(12.7) / 0.05)


@given(st.integers(1, 2**31 - 1))
@settings(max_examples=200, deadline=None)
def test_inverse_sqrt(x):
    multiplier, shift = fixedpoint.inverse_sqrt(x)
    assert multiplier * 2.0 ** (shift - 31) == pytest.approx(1 / np.sqrt(x), rel=2e-6)


INT8 = Operand((1, 4), "int8", 0.1)


@pytest.mark.parametrize(
    ("op", "inputs", "output", "sentence"),
    [
        (Exp(), (INT8, INT8), INT8, "1 input and 1 output"),
        (Floor(), (INT8,), INT8, "dtypes must be one of"),
        (Neg(), (INT8,), replace(INT8, shape=(5,)), "same shape"),
        (Log(), (replace(INT8, scale=None),), INT8, "positive scale"),
        (Abs(), (INT8,), replace(INT8, scale=1e-8), "below 2^22"),
        (Rsqrt(), (INT8,), replace(INT8, scale=1e-8), "must lie in"),
    ],
)
def test_limits(op, inputs, output, sentence):
    assert sentence in refused(Case("limit", op, inputs, (output,)))
