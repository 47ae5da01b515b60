"""CONCATENATION: peers, bands, limits."""

from __future__ import annotations

import pytest
from moving import NOT_IN_TFLM, case, refuse
from single_op import Operand, check, model_of, refused

from thimble.lower import lower
from thimble.ops.concatenation import Concatenation

CASES = [
    case("channels", Concatenation(3), [(1, 5, 4, 3), (1, 5, 4, 2)], [(1, 5, 4, 5)]),
    case("last", Concatenation(-1), [(2, 3), (2, 1), (2, 4)], [(2, 8)], "float32"),
    case("width", Concatenation(2), [(1, 5, 4, 3), (1, 5, 2, 3)], [(1, 5, 6, 3)], "int16"),
    case("height", Concatenation(1), [(1, 5, 4, 3), (1, 2, 4, 3)], [(1, 7, 4, 3)]),
    case("time", Concatenation(1), [(1, 1, 3), (1, 6, 3)], [(1, 7, 3)]),
    case("batch", Concatenation(0), [(1, 5, 4), (2, 5, 4)], [(3, 5, 4)], "int32"),
    case("one", Concatenation(1), [(2, 3)], [(2, 3)], "int64"),
    case("bool", Concatenation(0), [(3,), (2,)], [(5,)], "bool"),
    case(
        "uint8", Concatenation(3), [(2, 3, 1, 2)] * 3, [(2, 3, 1, 6)], "uint8", exempt=NOT_IN_TFLM
    ),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


def test_images_are_joined_row_by_row():
    program = lower(model_of(CASES[0]))
    assert [call.rows for call in program.calls] == [5, 5]
    assert all(call.windows["x"].extent == 1 for call in program.calls)


OTHER = Operand((1, 2), "int8", 0.2, 7)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(Concatenation(2), [(1, 2), (1, 2)], [(1, 4)]), "the axis must be one"),
        (refuse(Concatenation(1), [(1, 2), (2, 2)], [(1, 4)]), "agree in all other"),
        (refuse(Concatenation(1), [(1, 2), (1, 2)], [(1, 5)]), "shape that follows"),
        (refuse(Concatenation(0), [(), ()], [(2,)]), "rank 1 to 6"),
        (refuse(Concatenation(1, "RELU"), [(1, 2), (1, 2)], [(1, 4)]), "fused activation"),
        (refuse(Concatenation(1), [(1, 2), OTHER], [(1, 4)]), "scale and zero point"),
        (refuse(Concatenation(1), [(1, 2), Operand((1, 2), "int16")], [(1, 4)]), "one dtype of"),
        (refuse(Concatenation(1), [(1, 2), None], [(1, 4)]), "inputs"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
