"""PACK and UNPACK: peers, limits."""

from __future__ import annotations

import pytest
from moving import case, refuse
from single_op import Operand, check, refused

from thimble.ops.pack import Pack, Unpack

CASES = [
    case("first", Pack(3, 0), [(3, 4)] * 3, [(3, 3, 4)]),
    case("middle", Pack(2, 1), [(3, 4)] * 2, [(3, 2, 4)], "float32"),
    case("last", Pack(2, -1), [(1, 5, 4)] * 2, [(1, 5, 4, 2)], "int16"),
    case("scalars", Pack(3, 0), [()] * 3, [(3,)], "int32"),
    case("one", Pack(1, 1), [(2, 3)], [(2, 1, 3)], "int64"),
    case("first", Unpack(3, 0), [(3, 4)], [(4,)] * 3),
    case("last", Unpack(2, -1), [(1, 5, 4, 2)], [(1, 5, 4)] * 2, "float32"),
    case("rows", Unpack(5, 1), [(1, 5, 4)], [(1, 4)] * 5, "int16"),
    case("scalars", Unpack(3, 0), [(3,)], [()] * 3, "int32"),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(Pack(3, 0), [(2,), (2,)], [(2, 2)]), "values_count"),
        (refuse(Pack(2, 2), [(2,), (2,)], [(2, 2)]), "the axis must be one"),
        (refuse(Pack(2, 0), [(2,), (3,)], [(2, 2)]), "one shape"),
        (refuse(Pack(2, 0), [(2,), (2,)], [(2, 3)]), "shape that follows"),
        (refuse(Pack(2, 0), [(2,), Operand((2,), "int8", 0.3)], [(2, 2)]), "scale and zero point"),
        (refuse(Unpack(3, 0), [(2, 2)], [(2,)] * 2), "`num` elements"),
        (refuse(Unpack(2, 2), [(2, 2)], [(2,)] * 2), "`num` elements"),
        (refuse(Unpack(2, 0), [(2, 2)], [(3,)] * 2), "shape that follows"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
