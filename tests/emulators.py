"""Which emulated targets the tests can run on, and what every one of them has to do.

Where CI is set all of them count as present, so that a missing emulator or compiler is a failure.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

import numpy as np
import pytest

import thimble
from thimble.build import Prepared
from thimble.codegen.firmware import Firmware
from thimble.graph import Model
from thimble.runners.program import ProgramRunner
from thimble.targets import load_target, target_names
from thimble.toolchain import find_compilers


def machines() -> list[str]:
    """The targets with an emulated machine whose QEMU is here."""
    found = []
    for name in target_names():
        machine = load_target(name).machine
        if machine is not None and (os.environ.get("CI") or shutil.which(machine.qemu)):
            found.append(name)
    return found


def pairs() -> list[tuple[str, str]]:
    """(target, kind of compiler) of all machines; "auto" in CI where a target has no compiler."""
    return [
        (name, kind)
        for name in machines()
        for kind in [c.kind for c in find_compilers(load_target(name))]
        or (["auto"] if os.environ.get("CI") else [])
    ]


def require(target: str) -> None:
    """Skip the test where the emulator of `target` is missing (where CI is set: let it fail)."""
    machine = load_target(target).machine
    if machine is not None and target not in machines():
        pytest.skip(f"NO EMULATOR: {machine.qemu} is absent")


def bundled() -> Model:
    """The keyword spotter of the package, quantized to int8."""
    from thimble.demo import FOLDER, load_arrays

    model = thimble.load(str(FOLDER / "keywords.tflite"))
    return thimble.quantize(model, load_arrays("calibration.npz")["x"][:8])


def random_samples(firmware: Firmware, count: int, seed: int = 3) -> list[list[np.ndarray]]:
    """Random bytes for each input of each sample."""
    rng = np.random.default_rng(seed)
    return [
        [rng.integers(-128, 128, port.shape).astype(port.dtype) for port in firmware.inputs]
        for _ in range(count)
    ]


def check_bits(runner: Any, prepared: Prepared, samples: list[list[np.ndarray]]) -> None:
    """Outputs of all samples and every tensor of the last are those of the NumPy program."""
    twins = ProgramRunner(prepared.program, prepared.memory)
    result = runner.run_samples(samples)
    for inputs, outputs in zip(samples, result.samples, strict=True):
        for got, want in zip(outputs, twins.run(inputs), strict=True):
            np.testing.assert_array_equal(got, want)
    trace, wanted = runner.trace(samples[-1]), twins.trace(samples[-1])
    assert list(trace.tensors) == list(wanted.tensors)
    for tensor, value in wanted.tensors.items():
        np.testing.assert_array_equal(trace[tensor], value, err_msg=tensor)
