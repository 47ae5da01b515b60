"""RESHAPE: no code where memory can be shared, a copy where it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from kernels_c import assert_twins_agree
from models import ModelBuilder
from ops.single_op import Case, Operand, check, constant, refused

from thimble.lower import lower
from thimble.ops.fully_connected import FullyConnected
from thimble.ops.reshape import Reshape

CASES = [
    Case(
        f"{dtype} to {shape}",
        Reshape(shape),
        (Operand((2, 3, 4), dtype), constant(shape, "int32")),
        (Operand(done, dtype),),
    )
    for dtype in ("int8", "int16", "int32", "float32")
    for shape, done in (((4, 6), (4, 6)), ((-1, 2), (12, 2)), ((24,), (24,)))
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_everywhere(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("size", [0, 1, 7, 100])
def test_copy_is_its_twin(size: int) -> None:
    rng = np.random.default_rng(size)
    x = rng.integers(0, 256, max(size, 1)).astype(np.uint8)
    found = assert_twins_agree("thm_copy", {"bytes": size}, {"x": x, "y": np.zeros_like(x)})
    assert found["y"][:size].tobytes() == x[:size].tobytes()


def test_a_reshape_between_layers_needs_no_code() -> None:
    b = ModelBuilder()
    x = b.input("x", (2, 3, 4))
    first = b.op(Reshape((2, 12)), [x])
    w = b.const("w", np.ones((5, 12), np.float32))
    hidden = b.op(FullyConnected(), [first, w, None])
    model = b.build([b.op(Reshape((10,)), [hidden])])
    assert [call.kernel for call in lower(model).calls] == ["thm_fully_connected_f32"]


def test_from_input_to_output_it_copies() -> None:
    b = ModelBuilder()
    model = b.build([b.op(Reshape((6,)), [b.input("x", (2, 3))])])
    assert [call.kernel for call in lower(model).calls] == ["thm_copy"]


def test_limits_are_sentences() -> None:
    case = Case("size", Reshape((5,)), (Operand((2, 3), "int8"),), (Operand((5,), "int8"),))
    assert "same number of elements" in refused(case)
