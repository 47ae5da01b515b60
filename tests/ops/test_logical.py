"""LOGICAL_AND, LOGICAL_OR, LOGICAL_NOT: twins, peers, limits."""

from __future__ import annotations

import pytest
from elementwise import (
    SHAPES,
    any_shape,
    binary_case,
    broadcastable,
    twins_agree,
    unary_case,
    unary_twins_agree,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from single_op import Case, Operand, check, refused

from thimble.ops.logical import LogicalAnd, LogicalNot, LogicalOr


@given(broadcastable(), st.integers(0, 2**32 - 1), st.integers(0, 1))
@settings(max_examples=60, deadline=None)
def test_twin(shapes, seed, either):
    twins_agree("thm_logical_u8", shapes, ["bool"] * 3, {"either": either}, seed)


@given(any_shape(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_twin_not(shape, seed):
    unary_twins_agree("thm_logical_not_u8", shape, "bool", {}, seed)


CASES = [
    unary_case("LOGICAL_NOT", LogicalNot(), "bool"),
    *(
        binary_case(f"{op.name} {name}", op, SHAPES[name], "bool", i)
        for op in (LogicalAnd(), LogicalOr())
        for i, name in enumerate(["same", "scalar", "outer"])
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case):
    check(case)


BOOL = Operand((1, 4), "bool")


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ((BOOL,), "2 inputs"),
        ((BOOL, Operand((1, 4), "int8")), "dtypes must be one of"),
        ((BOOL, Operand((3,), "bool")), "must broadcast"),
    ],
)
def test_limits(inputs, sentence):
    assert sentence in refused(Case("limit", LogicalAnd(), inputs, (BOOL,)))
