"""REVERSE_V2: peers, limits."""

from __future__ import annotations

import pytest
from moving import NOT_IN_TFLM, case, ints, refuse
from single_op import check, refused

from thimble.ops.reverse_v2 import ReverseV2

CASES = [
    case("vector", ReverseV2(), [(7,), ints([0])], [(7,)], "float32"),
    case("inner two", ReverseV2(), [(1, 4, 3, 2), ints([2, 3])], [(1, 4, 3, 2)]),
    case("rows", ReverseV2(), [(1, 4, 3, 2), ints([1])], [(1, 4, 3, 2)], "int32"),
    case("channels", ReverseV2(), [(2, 4, 3), ints([2])], [(2, 4, 3)], "int64"),
    case("negative", ReverseV2(), [(2, 3), ints([-1])], [(2, 3)], "int16", exempt=NOT_IN_TFLM),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(ReverseV2(), [(2,), (1,)], [(2,)]), "the axes must be constant"),
        (refuse(ReverseV2(), [(2,), ints([1])], [(2,)]), "dimensions of the input"),
        (refuse(ReverseV2(), [(2,), ints([0, -1])], [(2,)]), "each once"),
        (refuse(ReverseV2(), [(2,), ints([0])], [(3,)]), "shape that follows"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
