"""WebAssembly: the emitted C in wasmtime has the NumPy program's bits; fuel, sizes, failures."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import emulators
import numpy as np
import pytest
import sample_firmware as sample

import thimble
from thimble.build import prepare, with_self_test
from thimble.codegen.firmware import Firmware
from thimble.errors import BadInput, ToolMissing
from thimble.report import BuildReport
from thimble.runners import wasm as wasm_module
from thimble.runners.emulator import EmulationFailed
from thimble.runners.host_library import ArenaOverrun
from thimble.runners.program import ProgramRunner
from thimble.runners.wasm import WasmModule
from thimble.targets import load_target
from thimble.toolchain import compile_module, compiler, find_compilers, read_wasm
from thimble.toolchain import compilers as compilers_module

TARGET = "wasm"
LOOPS = 1_000_000

# Where CI is set, what is missing makes the tests fail.
pytestmark = [
    pytest.mark.skipif(
        not (importlib.util.find_spec("wasmtime") or os.environ.get("CI")),
        reason="NO ENGINE: the wasmtime wheel is absent",
    ),
    pytest.mark.skipif(
        not (find_compilers(load_target(TARGET)) or os.environ.get("CI")),
        reason="NO CROSS COMPILER: the ziglang wheel is absent",
    ),
]


def sample_with(statement: str) -> Firmware:
    """The sample with `statement` at the head of its layer 0."""
    model = sample.firmware()
    head = "    int8_t *y = (int8_t *)io->arena + 16;\n"
    source = model.files["sample.c"]
    assert head in source
    text = source.replace(head, f"{head}    {statement}\n")
    return replace(model, files={**model.files, "sample.c": text})


@pytest.mark.parametrize("optimize", ["speed", "size"])
@pytest.mark.parametrize("in_arena", [True, False])
def test_outputs_counts_and_sizes(optimize: str, in_arena: bool) -> None:
    module = WasmModule(sample.firmware(), TARGET, "clang", optimize, in_arena=in_arena)
    samples = sample.samples(3)
    result = module.run_samples(samples)
    for inputs, outputs in zip(samples, result.samples, strict=True):
        for got, want in zip(outputs, sample.expected(inputs[0]), strict=True):
            np.testing.assert_array_equal(got, want)
    assert result.counted_by == "fuel"
    assert result.layer_instructions[2] == 0  # RESHAPE needs no code
    before_first_layer = result.instructions - sum(result.layer_instructions.values())
    assert 0 < before_first_layer < 40
    assert module.run_samples(samples).sample_instructions == result.sample_instructions
    assert 16 <= result.stack_bytes <= 100  # sample_io has four pointers
    assert result.sizes.weights_bytes in (128, 132)
    assert 100 < result.sizes.code_bytes < 1500
    assert result.sizes.data_bss_bytes == 0
    assert result.sizes.flash_bytes == result.sizes.code_bytes + result.sizes.weights_bytes


def test_trace_and_self_test() -> None:
    module = WasmModule(sample.firmware())
    (inputs,) = sample.samples(1)
    trace = module.trace(inputs)
    real, hidden = sample.expected(inputs[0])
    np.testing.assert_array_equal(trace["hidden"], hidden.reshape(1, 8))
    np.testing.assert_array_equal(trace["view"], real)
    assert trace.runner == TARGET
    assert module.self_test() == 0
    assert WasmModule(sample.firmware(self_test="77")).self_test() == 1
    with pytest.raises(BadInput, match="no-self-test"):
        WasmModule(sample.firmware(self_test=None)).self_test()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_bundled_model(stream: bool) -> None:
    prepared = prepare(emulators.bundled(), load_target(TARGET), stream=stream)
    samples = emulators.random_samples(prepared.firmware, 3)
    firmware = with_self_test(prepared, samples[0])
    module = WasmModule(firmware)
    emulators.check_bits(module, prepared, samples)
    assert module.self_test() == 0
    result = module.run(samples[0])
    counted = {k: n for k, n in result.layer_instructions.items() if n}
    alone = [layer.index for layer in firmware.layers if layer.stage == layer.functions != ()]
    assert list(counted) == alone
    rest = result.instructions - sum(counted.values())
    assert rest > 0
    assert rest < 60 or stream  # a segment's layers take turns: they are not counted
    assert 0.9 * firmware.weights_bytes <= result.sizes.weights_bytes <= firmware.weights_bytes


@pytest.mark.parametrize("name", ["hello_world_int8", "kws_ref_model", "person_detect"])
def test_open_models(shared: Path, name: str) -> None:
    model = thimble.load(str(shared / "data" / "bench" / f"{name}.tflite"))
    prepared = prepare(model, load_target(TARGET))
    samples = emulators.random_samples(prepared.firmware, 2)
    module = WasmModule(with_self_test(prepared, samples[0]))
    emulators.check_bits(module, prepared, samples)
    assert module.self_test() == 0


def test_run_and_bench() -> None:
    model = emulators.bundled()
    prepared = prepare(model, load_target(TARGET))
    (inputs,) = emulators.random_samples(prepared.firmware, 1)
    (want,) = ProgramRunner(prepared.program, prepared.memory).run(inputs)
    trace = thimble.run(model, inputs[0], on=TARGET)
    np.testing.assert_array_equal(next(iter(trace.outputs.values())), want)
    (row,) = thimble.bench([model], [TARGET], inputs[0]).results
    assert row.instructions == trace.meta["instructions"]
    assert row.seconds is None
    assert "fuel" in row.provenance["instructions"]
    assert (row.stack_bytes, row.code_bytes) == (
        trace.meta["stack_bytes"],
        trace.meta["code_bytes"],
    )


def instance_of(content: bytes) -> tuple[Any, Any]:
    """A store with a little fuel and the exports of the module."""
    import wasmtime

    config = wasmtime.Config()
    config.consume_fuel = True
    engine = wasmtime.Engine(config)
    store = wasmtime.Store(engine)
    store.set_fuel(10**9)
    instance = wasmtime.Instance(store, wasmtime.Module(engine, content), [])
    return store, instance.exports(store)


def test_the_module_that_build_writes_runs_alone(tmp_path: Path) -> None:
    model = emulators.bundled()
    report = thimble.build(model, target=TARGET, out=str(tmp_path / "web"), name="kws")
    assert isinstance(report, BuildReport)
    assert report.verification.mismatched == 0
    assert report.flash.code_bytes
    path = tmp_path / "web" / "kws.wasm"
    assert {"kws.wasm", "kws.c", "kws_wasm.c", "Makefile"} <= set(report.files)
    prepared = prepare(model, load_target(TARGET))
    (inputs,) = emulators.random_samples(prepared.firmware, 1)
    (want,) = ProgramRunner(prepared.program, prepared.memory).run(inputs)
    store, exports = instance_of(path.read_bytes())
    memory = exports["memory"]
    memory.write(store, inputs[0].tobytes(), exports["kws_input"](store))
    exports["kws_infer"](store)
    start = exports["kws_output"](store)
    got = np.frombuffer(memory.read(store, start, start + want.nbytes), np.int8)
    np.testing.assert_array_equal(got, want.ravel())
    report = thimble.build(model, target=TARGET, out=str(tmp_path / "web"), name="kws", split=2)
    store, exports = instance_of(path.read_bytes())
    memory = exports["memory"]
    memory.write(store, inputs[0].tobytes(), exports["kws_input"](store))
    exports["kws_infer"](store)
    start = exports["kws_output"](store)
    got = np.frombuffer(memory.read(store, start, start + want.nbytes), np.int8)
    np.testing.assert_array_equal(got, want.ravel())


def test_a_loop_is_counted_exactly() -> None:
    """Each turn executes the same instructions, so twice the turns are twice the fuel."""

    def instructions(turns: int) -> int:
        statement = f"for (volatile int32_t n = {turns}; n > 0;) {{ n = n - 1; }}"
        return WasmModule(sample_with(statement)).run(sample.samples(1)[0]).instructions

    one, two, three = (instructions(k * LOOPS) for k in (1, 2, 3))
    assert two - one == three - two
    assert (two - one) % LOOPS == 0
    assert two - one >= 4 * LOOPS


def test_the_model_takes_the_fuel_it_takes_alone() -> None:
    """NAME_run of the module with functions for tracing, and of one that has nothing else."""
    model = sample.firmware(self_test=None)
    (inputs,) = sample.samples(1)
    with_ = compiler(load_target(TARGET))
    exports = ["sample_run", "__heap_base"]
    folder = compile_module(model, with_, "speed", '#include "sample.c"\n', exports)
    store, found = instance_of((folder / "sample.wasm").read_bytes())
    memory, base = found["memory"], found["__heap_base"].value(store)
    memory.grow(store, 1)
    memory.write(store, inputs[0].tobytes(), base + 64)
    before = store.get_fuel()
    found["sample_run"](store, base, base + 64, base + 128, base + 192)
    used = before - store.get_fuel()
    assert used == WasmModule(model).run(inputs).instructions


def test_stack_is_what_the_model_writes() -> None:
    array = "volatile uint8_t big[1000]; for (int i = 0; i < 1000; i++) { big[i] = 1; }"
    (inputs,) = sample.samples(1)
    plain = WasmModule(sample.firmware()).run(inputs).stack_bytes
    assert 1000 - plain <= WasmModule(sample_with(array)).run(inputs).stack_bytes - plain <= 1040


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("for (volatile int forever = 1; forever;) { }", "all fuel consumed"),
        ("y[0] = *(volatile int8_t *)0x7fffff00;", "out of bounds memory access"),
        (
            "volatile uint8_t big[300000]; for (int i = 300000; i > 0;) { big[--i] = 1; }",
            "out of bounds memory access",
        ),
    ],
)
def test_a_module_that_hangs_or_faults_is_reported(statement: str, message: str) -> None:
    with pytest.raises(EmulationFailed, match=message):
        WasmModule(sample_with(statement), max_instructions=10**7).run(sample.samples(1)[0])


@pytest.mark.parametrize("place", ["io->arena[64]", "io->arena[-1]", "io->output1[8]"])
def test_a_write_outside_arena_or_output_is_reported(place: str) -> None:
    model = sample.firmware(f"(float)({place} = x[i])")
    with pytest.raises(ArenaOverrun, match="1 guard bytes"):
        WasmModule(model, in_arena=False).run([np.ones((1, 16), np.int8)])


def test_large_arenas_and_constants() -> None:
    """5 MB of constants and 5 MB of arena, both read by the model."""
    size = 5 << 20
    model = sample_with(
        "volatile uint32_t far = (5 << 20) - 1;"
        " io->arena[far] = sample_const_2[far];"
        " if (io->arena[far] != 3) { for (;;) { } }"
    )
    constant = "static const uint8_t sample_const_2[5 << 20] = {[(5 << 20) - 1] = 3};\n"
    head = '#include "sample.h"\n'
    source = model.files["sample.c"].replace(head, head + constant)
    files = {**model.files, "sample.c": source}
    model = replace(model, files=files, weights_bytes=size + 132, arena_bytes=size)
    (inputs,) = sample.samples(1)
    result = WasmModule(model).run(inputs)
    np.testing.assert_array_equal(result.outputs[1], sample.expected(inputs[0])[1])
    assert result.sizes.weights_bytes in (size + 128, size + 132)


def test_float_functions_that_clang_lacks_come_from_wasi_libc() -> None:
    model = sample.firmware("tanhf((float)x[i] * 0.03f)", "#include <math.h>", self_test=None)
    (inputs,) = sample.samples(1)
    result = WasmModule(model).run(inputs)
    wanted = np.tanh(sample.expected(inputs[0])[1].astype(np.float32) * np.float32(0.03))
    np.testing.assert_allclose(result.outputs[0], wanted, rtol=1e-6)


def test_missing_tools_name_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_engine(name: str) -> None:
        assert name == "wasmtime"

    with monkeypatch.context() as patch:
        patch.setattr(wasm_module.importlib.util, "find_spec", no_engine)
        with pytest.raises(ToolMissing, match=r"thimble-ml\[wasm\]"):
            WasmModule(sample.firmware())
    monkeypatch.setattr(compilers_module, "zig_command", lambda: None)
    with pytest.raises(ToolMissing, match=r"thimble-ml\[toolchain\]"):
        WasmModule(sample.firmware())


def test_build_without_the_engine_still_writes_the_module(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        wasm_module.importlib.util,
        "find_spec",
        lambda name: None if name == "wasmtime" else find_spec(name),
    )
    report = thimble.build(emulators.bundled(), target=TARGET, out=str(tmp_path / "web"), name="m")
    assert isinstance(report, BuildReport)
    assert report.ram.stack_bytes is None
    assert any("thimble-ml[wasm]" in note for note in report.notes)
    assert read_wasm(tmp_path / "web" / "m.wasm").bytes > report.flash.weights_bytes


def test_other_targets_are_no_modules(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not WebAssembly"):
        WasmModule(sample.firmware(), "host")
    (tmp_path / "a").write_bytes(b"\x7fELF")
    with pytest.raises(ValueError, match="no WebAssembly module"):
        read_wasm(tmp_path / "a")
