"""BROADCAST_TO: peers, limits."""

from __future__ import annotations

import pytest
from moving import case, ints, refuse
from single_op import check, refused

from thimble.ops.broadcast_to import BroadcastTo

V2 = {"version": 2}  # the first version that LiteRT's reference resolver knows
CASES = [
    case("row", BroadcastTo(), [(3,), ints([2, 3])], [(2, 3)], "float32", **V2),
    case("middle", BroadcastTo(), [(3, 1, 2), ints([2, 3, 4, 2])], [(2, 3, 4, 2)], **V2),
    case("scalar", BroadcastTo(), [(1,), ints([2, 3], "int64")], [(2, 3)], "int16", **V2),
    case("same", BroadcastTo(), [(2, 3), ints([2, 3])], [(2, 3)], "int32", **V2),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(BroadcastTo(), [(2,), (1,)], [(2,)]), "the shape must be constant"),
        (refuse(BroadcastTo(), [(2,), ints([3])], [(3,)]), "must broadcast"),
        (refuse(BroadcastTo(), [(1, 2), ints([2])], [(2,)]), "must broadcast"),
        (refuse(BroadcastTo(), [(1,), ints([1] * 7)], [(1,) * 7]), "rank 6 at most"),
        (refuse(BroadcastTo(), [(1,), ints([3])], [(2,)]), "shape that follows"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
