"""POW: peers, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from elementwise import LIBM, SHAPES, binary_case
from single_op import Case, Exempt, Operand, check, refused

from thimble.ops.pow import Pow

EXEMPT = LIBM | {"tflm": Exempt("has no POW")}


def positive(case: Case) -> Case:
    """Positive bases."""
    rng = np.random.default_rng(case.seed)
    a, b = (t.shape for t in case.inputs if t is not None)
    values = (rng.uniform(0.1, 4, a), rng.uniform(-3, 3, b))
    return replace(case, values=tuple(v.astype(np.float32) for v in values))


CASES = [
    positive(binary_case(name, Pow(), SHAPES[name], "float32", i, exempt=EXEMPT))
    for i, name in enumerate(["same", "scalar", "outer", "rank 5"])
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
    ],
)
def test_limits(inputs, output, sentence):
    assert sentence in refused(Case("limit", Pow(), inputs, (output,)))
