"""FLOOR_DIV and FLOOR_MOD: twins, peers, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elementwise import SHAPES, binary_case, broadcastable, twins_agree
from hypothesis import given, settings
from hypothesis import strategies as st
from single_op import Case, Exempt, Operand, check, refused

from thimble.ops.floor_div import FloorDiv, FloorMod

OPS = (FloorDiv(), FloorMod())


@given(broadcastable(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_twin(shapes, seed):
    for name in ("floor_div", "floor_mod"):
        twins_agree(f"thm_{name}_s32", shapes, ["int32"] * 3, {}, seed)
        twins_agree(f"thm_{name}_f32", shapes, ["float32"] * 3, {}, seed)


def small(case: Case) -> Case:
    """Small values of both signs, no zero divisors."""
    rng = np.random.default_rng(case.seed)
    a, b = (t.shape for t in case.inputs if t is not None)
    divisors = rng.integers(1, 6, b) * rng.choice([-1, 1], b)
    values = (rng.integers(-40, 40, a), divisors)
    return replace(case, values=tuple(v.astype(case.outputs[0].dtype) for v in values))


NO_INT32 = {"tflm": Exempt("has float32 only")}
CASES = [
    *(
        small(binary_case(f"{op.name} f32 {name}", op, SHAPES[name], "float32", 1))
        for op in OPS
        for name in ("same", "channel", "outer")
    ),
    *(
        small(binary_case(f"{op.name} int32", op, SHAPES[name], "int32", 2, exempt=NO_INT32))
        for op in OPS
        for name in ("same", "row")
    ),
    *(binary_case(f"{op.name} f32 random", op, SHAPES["same"], "float32", 3) for op in OPS),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case):
    check(case)


F32 = Operand((1, 4), "float32")


@pytest.mark.parametrize(
    ("inputs", "output", "sentence"),
    [
        ((F32,), F32, "2 inputs"),
        ((F32, replace(F32, dtype="int8")), F32, "dtypes must be one of"),
        ((F32, replace(F32, shape=(3,))), F32, "must broadcast"),
        ((Operand((1, 4), "int32", 0.1),) * 2, Operand((1, 4), "int32"), "no quantization"),
    ],
)
def test_limits(inputs, output, sentence):
    assert sentence in refused(Case("limit", FloorMod(), inputs, (output,)))
