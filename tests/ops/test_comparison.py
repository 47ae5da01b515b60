"""EQUAL, NOT_EQUAL, GREATER, GREATER_EQUAL, LESS, LESS_EQUAL: twins, peers, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elementwise import SHAPES, binary_case, broadcastable, twins_agree
from hypothesis import given, settings
from hypothesis import strategies as st
from single_op import Case, Operand, check, refused

from thimble.ops.comparison import KERNELS, Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual

OPS = (Equal(), NotEqual(), Greater(), GreaterEqual(), Less(), LessEqual())
MULTIPLIER = st.integers(2**30, 2**31 - 1)


@given(
    broadcastable(),
    st.integers(0, 2**32 - 1),
    st.integers(0, 5),
    st.sampled_from(list(KERNELS)),
    st.data(),
)
@settings(max_examples=120, deadline=None)
def test_twin(shapes, seed, relation, dtype, data):
    words = {"relation": relation}
    if dtype == "int8":
        for name in ("x1", "x2"):
            words[f"{name}_offset"] = data.draw(st.integers(-127, 128))
            words[f"{name}_multiplier"] = data.draw(MULTIPLIER)
            words[f"{name}_shift"] = data.draw(st.integers(-31, 0))
    twins_agree(KERNELS[dtype], shapes, [dtype, dtype, "bool"], words, seed)


def near(case: Case) -> Case:
    """Small integers, so that equality happens."""
    rng = np.random.default_rng(case.seed)
    values = tuple(
        rng.integers(-2, 3, t.shape).astype(t.dtype)
        if t.dtype != "bool"
        else np.ones(t.shape, bool)
        for t in case.inputs
        if t is not None
    )
    return replace(case, values=values)


def fine(case: Case, seed: int) -> Case:
    """Scales near 2^-8, where the rounding before the comparison decides."""
    rng = np.random.default_rng(seed)
    scales = [float(np.float32(rng.uniform(0.001, 0.004))) for _ in case.inputs]
    inputs = tuple(replace(t, scale=s) for t, s in zip(case.inputs, scales) if t is not None)
    return replace(case, inputs=inputs)


CASES = (
    [
        binary_case(f"{op.name} int8 {name}", op, SHAPES[name], "int8", i, y_dtype="bool")
        for op in OPS
        for i, name in enumerate(["same", "channel", "outer"])
    ]
    + [
        fine(binary_case(f"{op.name} int8 fine", op, ((64, 64),) * 2, "int8", i, y_dtype="bool"), i)
        for i, op in enumerate(OPS)
    ]
    + [
        near(binary_case(f"{op.name} {dtype}", op, SHAPES["row"], dtype, 3, y_dtype="bool"))
        for op in OPS
        for dtype in ("float32", "int32", "int64")
    ]
    + [
        binary_case(f"{op.name} bool", op, SHAPES["rank 5"], "bool", 4, y_dtype="bool")
        for op in OPS[:2]
    ]
)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case):
    check(case)


INT8 = Operand((1, 4), "int8", 0.1)
BOOL = Operand((1, 4), "bool")


@pytest.mark.parametrize(
    ("inputs", "op", "sentence"),
    [
        ((INT8,), Less(), "2 inputs"),
        ((BOOL, BOOL), Less(), "dtypes must be one of"),
        ((replace(INT8, dtype="int16"),) * 2, Greater(), "dtypes must be one of"),
        ((INT8, replace(INT8, shape=(3, 1))), Equal(), "must broadcast"),
        ((INT8, replace(INT8, scale=None)), Equal(), "positive scale"),
        ((INT8, replace(INT8, scale=1.0)), Equal(), "below 1"),
    ],
)
def test_limits(inputs, op, sentence):
    assert sentence in refused(Case("limit", op, inputs, (BOOL,)))
