"""LOGISTIC, TANH, HARD_SWISH, ELU, GELU: twins, peers over every int8, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elementwise import (
    LIBM,
    any_shape,
    random_buffer,
    random_quants,
    unary_case,
    unary_twins_agree,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from models import quantization
from peers import require, run_tflm
from single_op import Case, Exempt, Operand, check, file_bytes, refused

from thimble import sigmoid
from thimble.graph import Tensor
from thimble.ops.unary import Elu, Gelu, HardSwish, Logistic, Tanh

SEEDS = st.integers(0, 2**32 - 1)


@given(any_shape(), SEEDS)
@settings(max_examples=60, deadline=None)
def test_twin_lookup(shape, seed):
    table = random_buffer(np.random.default_rng(seed), 256, "int8")
    unary_twins_agree("thm_lookup_s8", shape, "int8", {}, seed, table=table)


@given(
    any_shape(),
    SEEDS,
    st.sampled_from(["thm_logistic_s16", "thm_tanh_s16"]),
    st.floats(1e-12, 2.0) | st.sampled_from([2.0**-12, 2.0**-11, 2.0**-13, 2.0]),
)
@settings(max_examples=100, deadline=None)
def test_twin_sigmoid_s16(shape, seed, kernel, scale):
    multiplier, shift = sigmoid.input_multiplier(scale)
    words = {"multiplier": multiplier, "shift": shift}
    unary_twins_agree(kernel, shape, "int16", words, seed, table=sigmoid.TABLE)


@given(any_shape(), SEEDS)
@settings(max_examples=40, deadline=None)
def test_twin_f32(shape, seed):
    unary_twins_agree("thm_hard_swish_f32", shape, "float32", {}, seed)
    for kernel in ("thm_logistic_f32", "thm_tanh_f32", "thm_elu_f32"):
        unary_twins_agree(kernel, shape, "float32", {}, seed, calls_libm=True)
    for approximate in (0, 1):
        words = {"approximate": approximate}
        unary_twins_agree("thm_gelu_f32", shape, "float32", words, seed, calls_libm=True)


NO_ELU = {"litert": Exempt("has ELU among its optimised kernels only")}
NO_GELU = {"tflm": Exempt("has no GELU")}
LOGISTIC_OUT, TANH_OUT = (1 / 256, -128), (1 / 128, 0)
SMALL, LARGE = (1e-8, 3), (7.9, -3)
CASES = [
    *(
        unary_case(f"LOGISTIC int8 {i}", Logistic(), "int8", random_quants(i, fixed=LOGISTIC_OUT))
        for i in range(8)
    ),
    *(
        unary_case(f"TANH int8 {i}", Tanh(), "int8", random_quants(i, fixed=TANH_OUT))
        for i in range(8)
    ),
    unary_case("LOGISTIC int8 small", Logistic(), "int8", (SMALL, LOGISTIC_OUT)),
    unary_case("LOGISTIC int8 large", Logistic(), "int8", (LARGE, LOGISTIC_OUT)),
    unary_case("TANH int8 small", Tanh(), "int8", (SMALL, TANH_OUT)),
    unary_case("TANH int8 large", Tanh(), "int8", (LARGE, TANH_OUT)),
    *(unary_case(f"HARD_SWISH int8 {i}", HardSwish(), "int8", random_quants(i)) for i in range(10)),
    unary_case("HARD_SWISH int8 coarse y", HardSwish(), "int8", ((0.01, 0), (1.27, 0))),
    unary_case("HARD_SWISH int8 fine y", HardSwish(), "int8", ((0.63, 0), (0.01, 0))),
    *(
        unary_case(f"ELU int8 {i}", Elu(), "int8", random_quants(i), exempt=NO_ELU)
        for i in range(8)
    ),
    *(
        unary_case(f"GELU int8 {flag} {i}", Gelu(flag), "int8", random_quants(i), exempt=NO_GELU)
        for i in range(4)
        for flag in (False, True)
    ),
    *(
        unary_case(f"{op.name} int16 {scale}", op, "int16", ((scale, 0), (2.0**-15, 0)))
        for op in (Logistic(), Tanh())
        for scale in (2.0**-12, 2.0**-11, 1e-4, 5e-3, 2.0)
    ),
    unary_case("LOGISTIC f32", Logistic(), "float32", exempt=LIBM),
    unary_case("TANH f32", Tanh(), "float32", exempt=LIBM),
    unary_case("HARD_SWISH f32", HardSwish(), "float32"),
    unary_case("ELU f32", Elu(), "float32", exempt=LIBM | NO_ELU),
    unary_case("GELU f32", Gelu(), "float32", exempt=LIBM | NO_GELU),
    unary_case("GELU f32 approximate", Gelu(True), "float32", exempt=LIBM | NO_GELU),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case):
    check(case)


@pytest.mark.parametrize("op", [Logistic(), Tanh(), HardSwish(), Elu()], ids=lambda op: op.name)
def test_tables_are_those_of_tflm(op):
    require("tflm")
    fixed = {"LOGISTIC": LOGISTIC_OUT, "TANH": TANH_OUT}.get(op.name)
    for seed in range(100, 300):
        case = unary_case("table", op, "int8", random_quants(seed, fixed=fixed))
        x, y = (
            Tensor("t", t.shape, t.dtype, quantization(t.scale, t.zero_point))
            for t in (*case.inputs, *case.outputs)
        )
        (wanted,) = run_tflm(file_bytes(case), case.values)
        np.testing.assert_array_equal(op.table(x, y), wanted.reshape(-1), err_msg=str(seed))


def test_extreme_floats_of_logistic():
    x = np.float32([[-200, -100, -9.001, -9, 0, 16.6, 16.7, 200, np.inf, -np.inf]])
    case = Case(
        "extremes",
        Logistic(),
        (Operand(x.shape, "float32"),),
        (Operand(x.shape, "float32"),),
        values=(x,),
        exempt=LIBM,
    )
    check(case)


INT8 = Operand((1, 4), "int8", 0.1)
INT16 = Operand((1, 4), "int16", 0.001)


@pytest.mark.parametrize(
    ("op", "inputs", "output", "sentence"),
    [
        (Logistic(), (INT8, INT8), INT8, "1 input and 1 output"),
        (Logistic(), (INT8,), replace(INT8, dtype="int16"), "dtypes must be one of"),
        (HardSwish(), (INT16,), INT16, "dtypes must be one of"),
        (Tanh(), (INT8,), replace(INT8, shape=(4,)), "same shape"),
        (Elu(), (INT8,), replace(INT8, scale=None), "positive scale"),
        (Tanh(), (replace(INT16, zero_point=1),), INT16, "zero point 0"),
        (Logistic(), (INT8,), INT8, "prescribed"),
        (Tanh(), (INT16,), INT16, "prescribed"),
        (Logistic(), (replace(INT8, scale=9.0),), Operand((1, 4), "int8", 1 / 256, -128), "lie in"),
        (Tanh(), (replace(INT16, scale=2.1),), Operand((1, 4), "int16", 2.0**-15), "2 at most"),
        (HardSwish(), (INT8,), replace(INT8, scale=1e-3), "input scale must lie in"),
    ],
)
def test_limits(op, inputs, output, sentence):
    assert sentence in refused(Case("limit", op, inputs, (output,)))
