"""Calls that share a function: the words it folds are its own calls', not another layer's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from models import ModelBuilder

from thimble.build import prepare
from thimble.codegen.variants import MOST_FUNCTIONS, choose
from thimble.graph import Model
from thimble.ops.conv_2d import Conv2D
from thimble.runners.host_library import HostLibrary
from thimble.runners.program import ProgramRunner


def _many_convolutions() -> Model:
    """A heavy 3 x 3 layer with padding, then small pointwise ones of ever other depths."""
    rng = np.random.default_rng(5)
    b = ModelBuilder()
    shape = (1, 16, 16, 8)
    x = b.input("x", shape, "int8", 0.05, -3)
    depths = [8, 24, *range(3, 4 + MOST_FUNCTIONS)]
    for i, (depth, outputs) in enumerate(itertools.pairwise(depths)):
        taps, stride = (3, 8) if i == 0 else (1, 1)
        weights = rng.integers(-127, 128, (outputs, taps, taps, depth)).astype(np.int8)
        w = b.const(f"w{i}", weights, scale=[0.01] * outputs, axis=0)
        op = Conv2D(stride_h=stride, stride_w=stride)
        x = b.op(op, [x, w, None], outputs=[((1, 2, 2, outputs), "int8", 0.1, 4)])
    return b.build(outputs=[x])


@pytest.mark.parametrize("optimize", ["auto", "size", "speed"])
def test_shared_function_gives_the_twins_bytes(optimize: str) -> None:
    prepared = prepare(_many_convolutions(), optimize=optimize)
    variants = choose(prepared.program, "m", optimize)
    if optimize == "auto":
        assert variants[0].kind == "inline"
        assert sum(v.kind == "shared" for v in variants.values()) > 1
    x = np.random.default_rng(1).integers(-128, 128, (1, 16, 16, 8)).astype(np.int8)
    want = ProgramRunner(prepared.program, prepared.memory).run([x])[0]
    assert HostLibrary(prepared.firmware).run([x])[0].tobytes() == want.tobytes()
