"""SQUEEZE: peers, no code inside a model, limits."""

from __future__ import annotations

import pytest
from models import ModelBuilder
from moving import case, refuse
from single_op import check, refused

from thimble.lower import lower
from thimble.ops.squeeze import Squeeze

CASES = [
    case("all", Squeeze(), [(1, 5, 1, 3)], [(5, 3)]),
    case("named", Squeeze((0, 2)), [(1, 5, 1, 1)], [(5, 1)], "float32"),
    case("negative", Squeeze((-1,)), [(1, 5, 1, 1)], [(1, 5, 1)], "int16"),
    case("to a scalar", Squeeze(), [(1, 1)], [()], "int32"),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


def test_needs_no_code_inside_a_model():
    b = ModelBuilder()
    x = b.input("x", (1, 3, 1, 2), "float32")
    y = b.op(Squeeze((1,)), [b.op(Squeeze((0,)), [x])])
    program = lower(b.build([y]))
    assert [call.kernel for call in program.calls] == ["thm_copy"]  # from input to output, once


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(Squeeze((1,)), [(1, 5)], [(1,)]), "dimensions of size 1"),
        (refuse(Squeeze((2,)), [(1, 5)], [(5,)]), "dimensions of size 1"),
        (refuse(Squeeze((0,)), [()], [()]), "dimensions of size 1"),
        (refuse(Squeeze(), [(1, 5)], [(1, 5)]), "shape that follows"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
