"""SELECT_V2 and SELECT: twins, peers, limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from elementwise import broadcastable, output_shape, twins_agree
from hypothesis import given, settings
from hypothesis import strategies as st
from single_op import Case, Exempt, Operand, check, refused

from thimble.ops.select import KERNELS, Select, SelectV2


@given(broadcastable(3), st.integers(0, 2**32 - 1), st.sampled_from(list(KERNELS)))
@settings(max_examples=100, deadline=None)
def test_twin(shapes, seed, dtype):
    twins_agree(KERNELS[dtype], shapes, ["bool", dtype, dtype, dtype], {}, seed)


def select_case(op, dtype, shapes, reason="", **exempt) -> Case:
    scale = 0.1 if dtype in ("int8", "int16") else None
    a, b, y = (Operand(s, dtype, scale) for s in (*shapes[1:], output_shape(shapes[1:])))
    if isinstance(op, SelectV2):
        y = replace(y, shape=output_shape(shapes))
    name = f"{op.name} {dtype} {' '.join(map(str, shapes))}"
    return Case(name, op, (Operand(shapes[0], "bool"), a, b), (y,), exempt=exempt)


NO_TFLM = {"tflm": Exempt("has SELECT_V2 of float32, int8 and int16 only")}
SAME = ((1, 4, 3, 5),) * 3
CASES = (
    [
        select_case(SelectV2(), dtype, shapes)
        for dtype in ("float32", "int8", "int16")
        for shapes in (SAME, ((4, 1, 5), (1, 4, 3, 5), (1,)), ((2, 1, 3), (1, 2, 1), (2, 2, 3)))
    ]
    + [
        select_case(SelectV2(), dtype, ((3, 1), (1, 4), (3, 4)), **NO_TFLM)
        for dtype in ("int32", "int64")
    ]
    + [
        select_case(Select(), dtype, (condition, (2, 3, 2, 4), (2, 3, 2, 4)), **NO_TFLM)
        for dtype in ("float32", "int8", "int32")
        for condition in ((2, 3, 2, 4), (2,), ())
    ]
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case):
    check(case)


INT8 = Operand((2, 4), "int8", 0.1)
BOOL = Operand((2, 4), "bool")


@pytest.mark.parametrize(
    ("inputs", "op", "sentence"),
    [
        ((BOOL, INT8), SelectV2(), "3 inputs"),
        ((INT8, INT8, INT8), SelectV2(), "dtypes must be one of"),
        ((BOOL, INT8, replace(INT8, shape=(3,))), SelectV2(), "must broadcast"),
        ((BOOL, INT8, replace(INT8, scale=0.2)), SelectV2(), "same scale"),
        ((replace(BOOL, shape=(4,)), INT8, INT8), Select(), "its first dimension"),
        ((BOOL, INT8, replace(INT8, shape=(1, 4))), Select(), "must have one shape"),
    ],
)
def test_limits(inputs, op, sentence):
    assert sentence in refused(Case("limit", op, inputs, (INT8,)))
