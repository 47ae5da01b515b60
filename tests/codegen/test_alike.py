"""Words that all calls of a model have alike are told to the headers that ask, others are not."""

from __future__ import annotations

import numpy as np
import pytest
from models import ModelBuilder

from thimble.build import prepare
from thimble.codegen.alike import definitions
from thimble.graph import Model
from thimble.ops.conv_2d import Conv2D
from thimble.targets import load_target

HEADERS = ["#ifdef THM_ALL_act_min\nTHM_ALL_act_max THM_ALL_segments", "THM_ALL_nothing"]


def layers(*activations: str, depth: int = 16, taps: int = 1) -> Model:
    """Convolutions of the same shape with these activations."""
    rng = np.random.default_rng(0)
    b = ModelBuilder()
    shape = (1, 6, 6, depth)
    x = b.input("x", shape, "int8", 0.05, -3)
    for i, activation in enumerate(activations):
        weights = rng.integers(-127, 128, (depth, taps, taps, depth)).astype(np.int8)
        w = b.const(f"w{i}", weights, scale=[0.001] * depth, axis=0)
        op = Conv2D("SAME", 1, 1, fused_activation_function=activation)
        x = b.op(op, [x, w, None], outputs=[(shape, "int8", 0.1, 4)])
    return b.build(outputs=[x])


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (layers("NONE", "NONE"), {"act_min": "(-128)", "act_max": "(127)", "segments": "(1)"}),
        (layers("RELU", "RELU"), {"act_min": "(4)", "act_max": "(127)", "segments": "(1)"}),
        (layers("RELU", "NONE"), {"act_max": "(127)", "segments": "(1)"}),
        (layers("NONE", taps=3), {"act_min": "(-128)", "act_max": "(127)", "segments": "(3)"}),
    ],
)
def test_only_what_is_asked_and_alike(model: Model, expected: dict[str, str]) -> None:
    program = prepare(model, load_target("cortex-m55")).program
    lines = [line.split(maxsplit=2) for line in definitions(program, HEADERS)]
    assert {name.removeprefix("THM_ALL_"): value for _, name, value in lines} == expected


def test_the_file_tells_before_it_includes() -> None:
    firmware = prepare(layers("NONE", "NONE"), load_target("cortex-m55")).firmware
    text = firmware.files[firmware.source]
    assert text.index("#define THM_ALL_act_min (-128)\n") < text.index('#include "thm/')
    scalar = prepare(layers("NONE", "NONE"), load_target("cortex-m0")).firmware
    assert "THM_ALL_" not in scalar.files[scalar.source]
