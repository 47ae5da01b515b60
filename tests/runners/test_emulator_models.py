"""Real models, end to end: emulated cores, host and the kernels' twins agree on every tensor."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import thimble
from thimble.build import prepare, with_self_test
from thimble.errors import UnsupportedModel
from thimble.runners.emulator import Emulator
from thimble.runners.host_library import HostLibrary
from thimble.runners.program import ProgramRunner
from thimble.targets import load_target, target_names
from thimble.toolchain import find_compilers

CROSS = [name for name in target_names() if name.startswith("cortex-")]
PAIRS = [(name, c.kind) for name in CROSS for c in find_compilers(load_target(name))]
CASES = [("hello_world_int8", *pair) for pair in PAIRS] + [
    ("kws_ref_model", name, kind) for name, kind in PAIRS if name in ("cortex-m4", "cortex-m55")
]

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(
        shutil.which("qemu-system-arm") is None, reason="NO EMULATOR: qemu-system-arm is absent"
    ),
]


@pytest.mark.parametrize(("name", "target", "kind"), CASES)
def test_model(shared: Path, name: str, target: str, kind: str) -> None:
    model = thimble.load(str(shared / "data" / "bench" / f"{name}.tflite"))
    try:
        prepared = prepare(model, load_target(target))
    except UnsupportedModel as error:
        pytest.skip(f"NO KERNEL YET: {error.findings[0].message}")
    rng = np.random.default_rng(3)
    samples = [
        [
            rng.integers(-128, 128, port.shape).astype(port.dtype)
            for port in prepared.firmware.inputs
        ]
        for _ in range(3)
    ]
    firmware = with_self_test(prepared, samples[0])
    emulator = Emulator(firmware, target, kind)
    result = emulator.run_samples(samples)
    host = HostLibrary(firmware)
    for inputs, outputs in zip(samples, result.samples):
        for got, want in zip(outputs, host.run(inputs)):
            np.testing.assert_array_equal(got, want)
    emulated = emulator.trace(samples[1])
    wanted = ProgramRunner(prepared.program, prepared.memory).trace(samples[1])
    assert list(emulated.tensors) == list(wanted.tensors)
    for tensor, value in wanted.tensors.items():
        np.testing.assert_array_equal(emulated[tensor], value, err_msg=tensor)
    assert emulator.self_test() == 0
    layers = result.layer_instructions
    assert list(layers) == [layer.index for layer in firmware.layers]
    for layer in firmware.layers:
        assert (layers[layer.index] > 0) == bool(layer.functions)
    assert 0 < result.instructions - sum(layers.values()) < 20
    # The compiler may fold a constant into code; it never stores more than codegen declared.
    folded = firmware.weights_bytes - result.sizes.weights_bytes
    assert 0 <= folded <= max(64, firmware.weights_bytes // 10)
