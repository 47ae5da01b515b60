"""RISC-V: real and streamed models end to end, faults, and what is said where a tool is missing.

The tests of test_emulator.py run on this core too.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import emulators
import numpy as np
import pytest
import sample_firmware as sample

import thimble
from thimble.build import prepare, with_self_test
from thimble.codegen.firmware import Firmware
from thimble.errors import ToolMissing
from thimble.report import BuildReport
from thimble.runners.emulator import EmulationFailed, Emulator
from thimble.runners.emulator import qemu as qemu_module
from thimble.runners.program import ProgramRunner
from thimble.targets import load_target
from thimble.toolchain import compiler
from thimble.toolchain import compilers as compilers_module

TARGET = "riscv32"
KINDS = [kind for name, kind in emulators.pairs() if name == TARGET]

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(not KINDS, reason="NO EMULATOR: qemu-system-riscv32 or ziglang is absent"),
]


def sample_with(statement: str) -> Firmware:
    """The sample with `statement` in its layer 0."""
    model = sample.firmware()
    head = "    int8_t *y = (int8_t *)io->arena + 16;\n"
    source = model.files["sample.c"]
    assert head in source
    text = source.replace(head, f"{head}    {statement}\n")
    return replace(model, files={**model.files, "sample.c": text})


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("kind", KINDS)
def test_bundled_model(kind: str, stream: bool) -> None:
    prepared = prepare(emulators.bundled(), load_target(TARGET), stream=stream)
    samples = emulators.random_samples(prepared.firmware, 2)
    firmware = with_self_test(prepared, samples[0])
    emulator = Emulator(firmware, TARGET, kind)
    emulators.check_bits(emulator, prepared, samples)
    assert emulator.self_test() == 0
    result = emulator.run(samples[0])
    layers = result.layer_instructions
    assert list(layers) == [layer.index for layer in firmware.layers]
    for layer in firmware.layers:
        assert (layers[layer.index] > 0) == bool(layer.functions)
    before_first_layer = result.instructions - sum(layers.values())
    assert 0 < before_first_layer < 20 or stream  # a segment's loop belongs to no layer
    assert result.instructions > prepared.firmware.macs
    assert 0.9 * firmware.weights_bytes <= result.sizes.weights_bytes <= firmware.weights_bytes


@pytest.mark.parametrize("name", ["hello_world_int8", "kws_ref_model", "person_detect"])
def test_open_models(shared: Path, name: str) -> None:
    model = thimble.load(str(shared / "data" / "bench" / f"{name}.tflite"))
    prepared = prepare(model, load_target(TARGET))
    samples = emulators.random_samples(prepared.firmware, 1)
    emulator = Emulator(with_self_test(prepared, samples[0]), TARGET)
    emulators.check_bits(emulator, prepared, samples)
    assert emulator.self_test() == 0


def test_run_bench_and_build(tmp_path: Path) -> None:
    model = emulators.bundled()
    prepared = prepare(model, load_target(TARGET))
    (inputs,) = emulators.random_samples(prepared.firmware, 1)
    (want,) = ProgramRunner(prepared.program, prepared.memory).run(inputs)
    trace = thimble.run(model, inputs[0], on=TARGET)
    np.testing.assert_array_equal(next(iter(trace.outputs.values())), want)
    assert trace.meta["counted_by"] == "plugin"
    (row,) = thimble.bench([model], [TARGET], inputs[0]).results
    assert row.instructions == trace.meta["instructions"]
    assert (row.stack_bytes, row.code_bytes) == (
        trace.meta["stack_bytes"],
        trace.meta["code_bytes"],
    )
    assert sum(layer.instructions or 0 for layer in row.layers) <= row.instructions
    report = thimble.build(model, target=TARGET, out=str(tmp_path / "firmware"))
    assert isinstance(report, BuildReport)
    assert report.verification.mismatched == 0
    assert report.ram.stack_bytes == row.stack_bytes
    assert "-mcpu=generic_rv32" in (tmp_path / "firmware" / "Makefile").read_text()


def test_a_fault_is_reported_with_its_place() -> None:
    """Load access fault, mcause 5 in the privileged architecture, at an address without memory."""
    model = sample_with("y[0] = *(volatile int8_t *)0x08000000u;")
    with pytest.raises(EmulationFailed, match=r"exception 00000005 pc 8000.* mtval 08000000"):
        Emulator(model, TARGET).run(sample.samples(1)[0])


def test_a_stack_that_overflows_does_not_go_unnoticed() -> None:
    statement = "volatile uint8_t big[300000]; for (int i = 0; i < 300000; i++) { big[i] = 1; }"
    with pytest.raises(EmulationFailed, match="stack overflow"):
        Emulator(sample_with(statement), TARGET).run(sample.samples(1)[0])


def test_missing_tools_name_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator(sample.firmware(), TARGET)
    qemu_module.qemu_version.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ToolMissing, match=r"riscv32 was not found[\s\S]*package qemu-system-misc"):
        emulator.run(sample.samples(1)[0])
    monkeypatch.setattr(compilers_module, "zig_command", lambda: None)
    with pytest.raises(ToolMissing, match=r"thimble-ml\[toolchain\].*gcc-riscv64-unknown-elf"):
        compiler(load_target(TARGET))


def test_a_gcc_without_its_c_library_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Debian's gcc-riscv64-unknown-elf may be there without picolibc and its specs file."""
    lonely = tmp_path / "riscv64-unknown-elf-gcc"
    lonely.write_text('#!/bin/sh\ncase "$*" in *--specs*) exit 1 ;; esac\necho "gcc 12.2.0"\n')
    lonely.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(compilers_module, "zig_command", lambda: None)
    with pytest.raises(ToolMissing, match="picolibc-riscv64-unknown-elf"):
        compiler(load_target(TARGET))
