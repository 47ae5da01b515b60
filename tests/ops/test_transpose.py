"""TRANSPOSE: peers, every permutation, limits."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from moving import NOT_IN_TFLM, case, ints, refuse, tensor
from single_op import check, model_of, random_values, refused

from thimble.lower import lower
from thimble.memory import place
from thimble.ops.transpose import Transpose
from thimble.runners.program import ProgramRunner

CASES = [
    case("matrix", Transpose(), [(7, 5), ints([1, 0])], [(5, 7)]),
    case("width and channels", Transpose(), [(1, 6, 5, 4), ints([0, 1, 3, 2])], [(1, 6, 4, 5)]),
    case("to NCHW", Transpose(), [(2, 3, 5, 4), ints([0, 3, 1, 2])], [(2, 4, 3, 5)], "float32"),
    case(
        "rank 5", Transpose(), [(2, 1, 3, 2, 4), ints([4, 2, 0, 1, 3])], [(4, 3, 2, 1, 2)], "int16"
    ),
    case("same", Transpose(), [(3, 4), ints([0, 1])], [(3, 4)], "int16"),
    case("int32", Transpose(), [(3, 4), ints([1, 0])], [(4, 3)], "int32", exempt=NOT_IN_TFLM),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


@pytest.mark.parametrize("perm", list(permutations(range(4))), ids=str)
def test_every_permutation(perm):
    shape = (1, 3, 2, 4)
    c = case("perm", Transpose(), [tensor(shape), ints(perm)], [[shape[d] for d in perm]])
    program = lower(model_of(c))
    values = random_values(c)
    (found,) = ProgramRunner(program, place(program, "greedy")).run(values)
    np.testing.assert_array_equal(found, values[0].transpose(perm))


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(Transpose(), [(2, 3), (2,)], [(3, 2)]), "perm must be constant"),
        (refuse(Transpose(), [(2, 3), ints([1, 1])], [(3, 2)]), "every dimension once"),
        (refuse(Transpose(), [(2, 3), ints([1])], [(3, 2)]), "every dimension once"),
        (refuse(Transpose(), [(1,) * 7, ints(range(7))], [(1,) * 7]), "rank 0 to 6"),
        (refuse(Transpose(), [(2, 3), ints([1, 0])], [(2, 3)]), "shape that follows"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
