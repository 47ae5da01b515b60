"""TILE: LiteRT, limits."""

from __future__ import annotations

import pytest
from moving import NOT_IN_TFLM, case, ints, refuse
from single_op import check, refused

from thimble.ops.tile import Tile

CASES = [
    case("matrix", Tile(), [(2, 3), ints([2, 3])], [(4, 9)], "float32", exempt=NOT_IN_TFLM),
    case("vector", Tile(), [(1, 3), ints([4, 1])], [(4, 3)], exempt=NOT_IN_TFLM),
    case("one", Tile(), [(2, 3), ints([1, 1])], [(2, 3)], "int32", exempt=NOT_IN_TFLM),
    case("images", Tile(), [(1, 2, 3, 2), ints([2, 3, 1, 2])], [(2, 6, 3, 4)], exempt=NOT_IN_TFLM),
    case(
        "upsampling",
        Tile(),
        [(2, 1, 3, 1, 2), ints([1, 2, 1, 2, 1], "int64")],
        [(2, 2, 3, 2, 2)],
        "float32",
        exempt=NOT_IN_TFLM,
    ),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(Tile(), [(2,), (1,)], [(2,)]), "the multiples must be constant"),
        (refuse(Tile(), [(2,), ints([1, 2])], [(2,)]), "a multiple for each"),
        (refuse(Tile(), [(2,), ints([-1])], [(2,)]), "none negative"),
        (refuse(Tile(), [(2,), ints([2])], [(2,)]), "shape that follows"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
