"""MAXIMUM and MINIMUM: twins, peers, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elementwise import SHAPES, binary_case, broadcastable, twins_agree
from hypothesis import given, settings
from hypothesis import strategies as st
from single_op import Case, Operand, check, refused

from thimble.ops.maximum import KERNELS, Maximum, Minimum


@given(
    broadcastable(), st.integers(0, 2**32 - 1), st.integers(0, 1), st.sampled_from(list(KERNELS))
)
@settings(max_examples=100, deadline=None)
def test_twin(shapes, seed, minimum, dtype):
    twins_agree(KERNELS[dtype], shapes, [dtype] * 3, {"minimum": minimum}, seed)


def shared_scale(case: Case) -> Case:
    """All tensors in the quantization of the output."""
    scale, zero_point = case.outputs[0].scale, case.outputs[0].zero_point
    return replace(
        case,
        inputs=tuple(replace(t, scale=scale, zero_point=zero_point) for t in case.inputs if t),
    )


NAN = np.array([[np.nan, 1.0, -0.0, 0.0, np.inf]], np.float32)
CASES = [
    shared_scale(case)
    for case in [
        *(
            binary_case(f"MAXIMUM int8 {k}", Maximum(), SHAPES[k], "int8", i)
            for i, k in enumerate(SHAPES)
        ),
        *(
            binary_case(f"{op.name} {dtype}", op, SHAPES["channel"], dtype, i)
            for i, dtype in enumerate(KERNELS)
            for op in (Maximum(), Minimum())
        ),
        binary_case("MINIMUM constant", Minimum(), SHAPES["scalar"], "int8", 3, constant=1),
        binary_case(
            "MAXIMUM nan",
            Maximum(),
            (NAN.shape, NAN.shape),
            "float32",
            4,
            values=(NAN, np.ones_like(NAN)),
        ),
    ]
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case):
    check(case)


INT8 = Operand((1, 4), "int8", 0.1)


@pytest.mark.parametrize(
    ("inputs", "output", "sentence"),
    [
        ((INT8,) * 3, INT8, "2 inputs"),
        ((INT8, replace(INT8, dtype="uint8")), INT8, "dtypes must be one of"),
        ((INT8, replace(INT8, shape=(2, 3))), INT8, "must broadcast"),
        ((INT8, replace(INT8, scale=0.2)), INT8, "same scale and zero point"),
        ((INT8, INT8), replace(INT8, zero_point=1), "same scale and zero point"),
        ((replace(INT8, scale=None),) * 2, INT8, "same scale and zero point"),
    ],
)
def test_limits(inputs, output, sentence):
    assert sentence in refused(Case("limit", Minimum(), inputs, (output,)))
