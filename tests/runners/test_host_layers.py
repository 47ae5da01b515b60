"""Whole models in every vector layer of this machine: same bytes, no byte touched outside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import thimble
from thimble import demo
from thimble.build import prepare
from thimble.errors import ToolMissing
from thimble.formats.data import random_dataset
from thimble.host import host_layers, this_machine
from thimble.runners.program import ProgramRunner
from thimble.runners.repeat_unit import Repeater
from thimble.runners.sanitized import run_sanitized, sanitizing_compiler

MODEL = Path(demo.__file__).parent / "keywords.tflite"


@pytest.mark.parametrize("layer", host_layers())
def test_layer_gives_the_bytes_of_the_twins(layer: str) -> None:
    model = thimble.load(str(MODEL))
    prepared = prepare(model, replace(this_machine(), arch=layer))
    sample = random_dataset(model).sample(0)
    want = [a.tobytes() for a in ProgramRunner(prepared.program, prepared.memory).run(sample)]
    repeater = Repeater(prepared.firmware, sample, layer)
    assert repeater.seconds(2) > 0
    assert [a.tobytes() for a in repeater.outputs()] == want
    # Packed for one layer, compiled for another: the same, if slowly.
    others = [other for other in host_layers() if other != layer]
    for other in others[:1]:
        repeater = Repeater(prepared.firmware, sample, other)
        repeater.seconds(1)
        assert [a.tobytes() for a in repeater.outputs()] == want
    try:
        sanitizing_compiler()
    except ToolMissing:
        pytest.skip("no compiler with sanitizers: reads beyond buffers were not looked for")
    assert [a.tobytes() for a in run_sanitized(prepared.firmware, [sample], layer)[0]] == want
