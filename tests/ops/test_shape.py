"""SHAPE: peers, limits."""

from __future__ import annotations

import pytest
from moving import NOT_IN_TFLM, refuse, tensor
from single_op import Case, Operand, check, refused

from thimble.ops.shape import Shape

CASES = [
    Case("int32", Shape("int32"), (tensor((1, 5, 3)),), (Operand((3,), "int32"),)),
    Case("vector", Shape("int32"), (tensor((9,), "float32"),), (Operand((1,), "int32"),)),
    Case(
        "int64",
        Shape("int64"),
        (tensor((4, 2), "float32"),),
        (Operand((2,), "int64"),),
        exempt=NOT_IN_TFLM,
    ),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(Shape("int32"), [(2, 3)], [Operand((3,), "int32")]), "shape that follows"),
        (refuse(Shape("int32"), [(2, 3)], [Operand((2,), "int64")]), "as out_type says"),
        (refuse(Shape(), [(2, 3)], [Operand((2,), "float32")]), "int32 or int64"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
