"""SLICE: peers, limits."""

from __future__ import annotations

import pytest
from moving import case, ints, refuse
from single_op import check, refused

from thimble.ops.slice import Slice

CASES = [
    case("rows", Slice(), [(1, 7, 5, 4), ints([0, 2, 0, 0]), ints([1, 3, -1, -1])], [(1, 3, 5, 4)]),
    case("inner", Slice(), [(2, 7, 5), ints([0, 2, 1]), ints([2, 3, 2])], [(2, 3, 2)], "float32"),
    case("one", Slice(), [(9,), ints([8]), ints([-1])], [(1,)], "int32"),
    case(
        "int64", Slice(), [(3, 4), ints([1, 0], "int64"), ints([2, 3], "int64")], [(2, 3)], "int16"
    ),
    case("rank 5", Slice(), [(2, 3, 2, 3, 2), ints([1] * 5), ints([1] * 5)], [(1,) * 5], "bool"),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(Slice(), [(4,), (1,), ints([1])], [(1,)]), "begin must be constant"),
        (refuse(Slice(), [(4,), ints([0, 0]), ints([1])], [(1,)]), "one element for each"),
        (refuse(Slice(), [(4,), ints([2]), ints([3])], [(3,)]), "inside the input"),
        (refuse(Slice(), [(4,), ints([-1]), ints([1])], [(1,)]), "inside the input"),
        (refuse(Slice(), [(4,), ints([5]), ints([-1])], [(1,)]), "inside the input"),
        (refuse(Slice(), [(4,), ints([1]), ints([2])], [(3,)]), "shape that follows"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
