"""FILL and ZEROS_LIKE: peers, limits."""

from __future__ import annotations

import pytest
from moving import NOT_IN_TFLM, case, ints, refuse
from single_op import check, refused

from thimble.ops.fill import Fill, ZerosLike

CASES = [
    case("scalar", Fill(), [ints([2, 3]), ()], [(2, 3)], "float32"),
    case("scalar", Fill(), [ints([2, 3]), ()], [(2, 3)]),
    case("int64 dims", Fill(), [ints([7], "int64"), ()], [(7,)], "int32"),
    case("bool", Fill(), [ints([7]), ()], [(7,)], "bool", exempt=NOT_IN_TFLM),
    case("int64", Fill(), [ints([2, 2]), ()], [(2, 2)], "int64", exempt=NOT_IN_TFLM),
    case("zeros", ZerosLike(), [(2, 3)], [(2, 3)], "float32"),
    case("zeros", ZerosLike(), [(2, 3)], [(2, 3)], "int64"),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(Fill(), [(1,), ()], [(2,)]), "the dimensions must be constant"),
        (refuse(Fill(), [ints([2]), (2,)], [(2,)]), "one element"),
        (refuse(Fill(), [ints([2]), ()], [(3,)]), "shape that follows"),
        (refuse(Fill(), [ints([-2]), ()], [(3,)]), "shape that follows"),
        (refuse(ZerosLike(), [(2,)], [(3,)]), "shape that follows"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
