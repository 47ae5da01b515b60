"""The emitted C on emulated cores: outputs, exact counts, stack, sizes, and how runs can end."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import emulators
import numpy as np
import pytest
import sample_firmware as sample

from thimble.codegen.firmware import Firmware
from thimble.errors import BadInput, DoesNotFit, ToolMissing
from thimble.runners.emulator import EmulationFailed, Emulator
from thimble.runners.emulator import qemu as qemu_module
from thimble.runners.emulator.build import build_image, machine_of
from thimble.runners.host_library import ArenaOverrun
from thimble.targets import load_target
from thimble.toolchain import compiler

CROSS = emulators.machines()
PAIRS = emulators.pairs()
# Counts %0 down to zero, two instructions a turn.
COUNT_DOWN = {
    "cortex_m": '".syntax unified\\n1: subs %0, %0, #1\\n\\tbne 1b" : "+l"(n) : : "cc"',
    "riscv": '"1: addi %0, %0, -1\\n\\tbnez %0, 1b" : "+r"(n)',
}
LOOP_INSTRUCTIONS = 2_000_000
# Entry and return of the layer, and loading the loop's count.
LOOP_SLACK = 12
# SysTick's resolution is 31 to 50 instructions; the calls round its two reads come on top.
TICK_SLACK = 110

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(not CROSS, reason="NO EMULATOR: qemu-system-arm is absent"),
    pytest.mark.skipif(not PAIRS, reason="NO CROSS COMPILER: neither gcc nor ziglang is here"),
]


def with_layer_1(body: str) -> Firmware:
    """The sample with `body` run once at the head of layer 1."""
    model = sample.firmware()
    head = "    const int8_t *x = (const int8_t *)io->arena + 16;"
    source = model.files["sample.c"]
    assert head in source
    return replace(
        model, files={**model.files, "sample.c": source.replace(head, f"    {body}\n{head}")}
    )


@pytest.mark.parametrize("optimize", ["speed", "size"])
@pytest.mark.parametrize(("target", "kind"), PAIRS)
def test_outputs_counts_and_sizes(target: str, kind: str, optimize: str) -> None:
    model = sample.firmware()
    emulator = Emulator(model, target, kind, optimize)
    samples = sample.samples(3)
    result = emulator.run_samples(samples)
    for inputs, outputs in zip(samples, result.samples):
        for got, want in zip(outputs, sample.expected(inputs[0])):
            np.testing.assert_array_equal(got, want)
    assert result.counted_by == "plugin"
    assert len(result.sample_instructions) == 3
    assert result.instructions == result.sample_instructions[0]
    # 128 multiply-accumulates, 16 to a vector instruction at best
    assert 8 < result.layer_instructions[0] < 4000
    assert result.layer_instructions[2] == 0  # RESHAPE needs no code
    before_first_layer = result.instructions - sum(result.layer_instructions.values())
    assert 0 < before_first_layer < 20
    assert 20 <= result.stack_bytes <= 200
    assert result.sizes.weights_bytes in (
        128,
        132,
    )  # the one-word table may be folded into the code
    assert 100 < result.sizes.code_bytes < 3000
    assert result.sizes.data_bss_bytes == 0
    assert emulator.run_samples(samples).sample_instructions == result.sample_instructions


@pytest.mark.parametrize(("target", "kind"), PAIRS)
def test_trace_and_self_test(target: str, kind: str) -> None:
    emulator = Emulator(sample.firmware(), target, kind)
    (inputs,) = sample.samples(1)
    trace = emulator.trace(inputs)
    real, hidden = sample.expected(inputs[0])
    np.testing.assert_array_equal(trace["hidden"], hidden.reshape(1, 8))
    np.testing.assert_array_equal(trace["view"], real)
    assert trace.runner == target
    assert emulator.self_test() == 0
    assert Emulator(sample.firmware(self_test="77"), target, kind).self_test() == 1
    with pytest.raises(BadInput, match="no-self-test"):
        Emulator(sample.firmware(self_test=None), target, kind).self_test()


def test_inputs_and_outputs_may_lie_outside_the_arena() -> None:
    (inputs,) = sample.samples(1)
    results = [
        Emulator(sample.firmware(), "cortex-m4", in_arena=in_arena).run(inputs)
        for in_arena in (True, False)
    ]
    for a, b in zip(results[0].outputs, results[1].outputs):
        np.testing.assert_array_equal(a, b)
    assert results[0].instructions == results[1].instructions


@pytest.mark.parametrize("target", CROSS)
def test_a_loop_of_two_million_instructions_is_counted_exactly(target: str) -> None:
    """1,000,000 x (subs, bne); the plugin must find them all, a timer under -icount to a tick."""
    core = machine_of(load_target(target)).core
    loop = f"uint32_t n = 1000000; __asm__ volatile({COUNT_DOWN[core]});"
    (inputs,) = sample.samples(1)
    plain = Emulator(sample.firmware(), target).run(inputs)
    looped = Emulator(with_layer_1(loop), target).run(inputs)
    extra = looped.layer_instructions[1] - plain.layer_instructions[1]
    assert LOOP_INSTRUCTIONS <= extra <= LOOP_INSTRUCTIONS + LOOP_SLACK
    timed = Emulator(with_layer_1(loop), target, counting="icount").run(inputs)
    assert timed.counted_by == "icount"
    assert timed.layer_instructions == {}
    assert abs(timed.instructions - looped.instructions) <= TICK_SLACK


def test_a_low_overhead_loop_is_counted_exactly() -> None:
    """1,000,000 x (nop, le) on Cortex-M55, whose loop branch is not executed as a branch."""
    loop = (
        'uint32_t n = 1000000; __asm__ volatile("dls lr, %0\\n1: nop\\n\\tle lr, 1b"'
        ' : : "r"(n) : "lr", "cc");'
    )
    (inputs,) = sample.samples(1)
    plain = Emulator(sample.firmware(), "cortex-m55").run(inputs)
    looped = Emulator(with_layer_1(loop), "cortex-m55").run(inputs)
    extra = looped.layer_instructions[1] - plain.layer_instructions[1]
    assert LOOP_INSTRUCTIONS <= extra <= LOOP_INSTRUCTIONS + LOOP_SLACK


def test_a_timer_that_wraps_is_counted_on() -> None:
    """SysTick has 24 bits: 671 million instructions on mps2. 800 million go past that."""
    loop = (
        'uint32_t n = 400000000; __asm__ volatile("1: subs %0, %0, #1\\n\\tbne 1b"'
        ' : "+l"(n) : : "cc");'
    )
    (inputs,) = sample.samples(1)
    timed = Emulator(with_layer_1(loop), "cortex-m3", counting="icount").run(inputs)
    assert abs(timed.instructions - 800_000_000) < 3000


@pytest.mark.parametrize(("target", "kind"), PAIRS)
def test_stack_is_what_the_model_uses(target: str, kind: str) -> None:
    body = "volatile uint8_t big[1000]; for (int i = 0; i < 1000; i++) { big[i] = 1; }"
    (inputs,) = sample.samples(1)
    plain = Emulator(sample.firmware(), target, kind).run(inputs).stack_bytes
    with_array = Emulator(with_layer_1(body), target, kind).run(inputs).stack_bytes
    assert 1000 - plain <= with_array - plain <= 1040


@pytest.mark.parametrize("optimize", ["speed", "size"])
@pytest.mark.parametrize(("target", "kind"), PAIRS)
def test_code_size_is_the_growth_over_an_empty_model(target: str, kind: str, optimize: str) -> None:
    """Measured alone = test program with the model less the same program with an empty model."""
    model = sample.firmware(self_test=None)
    source = model.files["sample.c"]
    head = source[: source.index("static const int8_t")]
    signature = "void sample_run(void *arena, const int8_t input[16], float output0[8],"
    empty = replace(
        model,
        files={
            **model.files,
            "sample.c": f"{head}{signature} int8_t output1[8])\n"
            "{ (void)arena; (void)input; (void)output0; (void)output1; }\n",
        },
        layers=(),
    )
    with_ = compiler(load_target(target), kind)

    def code(firmware: Firmware) -> int:
        elf = build_image(firmware, with_, optimize, in_arena=True, trace=False).elf
        return elf.section_bytes(".text") + elf.section_bytes(".rodata")

    measured = Emulator(model, target, kind, optimize).run(sample.samples(1)[0]).sizes.code_bytes
    # `bx lr` of the empty model, and padding between functions
    assert abs(measured - (code(model) - code(empty))) <= 8


@pytest.mark.parametrize("kind", [kind for name, kind in PAIRS if name == "cortex-m4"])
def test_float_functions_come_from_the_compilers_libraries(kind: str) -> None:
    model = sample.firmware("expf((float)x[i] * 0.03f)", "#include <math.h>", self_test=None)
    (inputs,) = sample.samples(1)
    result = Emulator(model, "cortex-m4", kind).run(inputs)
    wanted = np.exp(sample.expected(inputs[0])[1].astype(np.float32) * np.float32(0.03))
    np.testing.assert_allclose(result.outputs[0], wanted, rtol=1e-6)


def test_what_clangs_runtime_lacks_comes_from_newlib_or_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kinds = [kind for name, kind in PAIRS if name == "cortex-m4"]
    if kinds != ["gcc", "clang"]:
        pytest.skip("NO NEWLIB: needs arm-none-eabi-gcc and ziglang")
    model = sample.firmware("tanhf((float)x[i] * 0.03f)", "#include <math.h>", self_test=None)
    (inputs,) = sample.samples(1)
    result = Emulator(model, "cortex-m4", "clang").run(inputs)
    wanted = np.tanh(sample.expected(inputs[0])[1].astype(np.float32) * np.float32(0.03))
    np.testing.assert_allclose(result.outputs[0], wanted, rtol=1e-6)

    emulator = Emulator(replace(model, name="sample"), "cortex-m4", "clang", "size")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ToolMissing, match=r"tanhf.*need newlib"):
        build_image(emulator.firmware, emulator.compiler, "size", in_arena=False, trace=True)


def test_a_fault_is_reported_with_its_place() -> None:
    model = with_layer_1("*(volatile uint32_t *)0xf0000000u = 1;")
    with pytest.raises(EmulationFailed, match="fault: exception 00000003 pc 0000"):
        Emulator(model, "cortex-m4").run(sample.samples(1)[0])


def test_a_stack_that_overflows_does_not_go_unnoticed() -> None:
    body = "volatile uint8_t big[300000]; for (int i = 0; i < 300000; i++) { big[i] = 1; }"
    with pytest.raises(EmulationFailed, match="stack overflow"):
        Emulator(with_layer_1(body), "cortex-m4").run(sample.samples(1)[0])


def test_a_hang_ends_with_the_emulator_gone() -> None:
    model = with_layer_1("for (volatile int forever = 1; forever;) { }")
    start = time.monotonic()
    with pytest.raises(EmulationFailed, match="did not end within 2 s"):
        Emulator(model, "cortex-m4", timeout_seconds=2).run(sample.samples(1)[0])
    assert time.monotonic() - start < 60
    children = Path("/proc/self/task").glob("*/children")
    for child in " ".join(file.read_text() for file in children).split():
        assert "qemu" not in Path(f"/proc/{child}/comm").read_text()


@pytest.mark.parametrize("place", ["io->arena[64]", "io->arena[-1]", "io->output1[8]"])
def test_a_write_outside_arena_or_output_is_reported(place: str) -> None:
    model = sample.firmware(f"(float)({place} = x[i])")
    with pytest.raises(ArenaOverrun, match="1 guard bytes"):
        Emulator(model, "cortex-m4", in_arena=False).run([np.ones((1, 16), np.int8)])


@pytest.mark.parametrize("target", CROSS)
def test_constants_and_arenas_that_exceed_flash_and_ram_go_to_external_memory(target: str) -> None:
    """5 MB of constants and 5 MB of arena, both read by the model."""
    size = 5 << 20
    model = with_layer_1(
        "static const uint8_t sample_const_2[5 << 20] = {[(5 << 20) - 1] = 3};"
        " volatile uint32_t far = (5 << 20) - 1;"
        " io->arena[far] = sample_const_2[far];"
        " if (io->arena[far] != 3) { for (;;) { } }"
    )
    model = replace(model, weights_bytes=size + 132, arena_bytes=size)
    (inputs,) = sample.samples(1)
    # gcc keeps the name of a static in a function, clang puts the function's before it.
    result = Emulator(model, target, "gcc", timeout_seconds=30).run(inputs)
    np.testing.assert_array_equal(result.outputs[1], sample.expected(inputs[0])[1])
    assert result.sizes.weights_bytes in (size + 128, size + 132)
    assert result.sizes.flash_bytes >= result.sizes.weights_bytes + result.sizes.code_bytes


def test_what_exceeds_all_memory_does_not_fit() -> None:
    model = replace(sample.firmware(), weights_bytes=20 << 20)
    with pytest.raises(DoesNotFit, match="20971520 bytes of constants"):
        Emulator(model, "cortex-m4").run(sample.samples(1)[0])
    code = with_layer_1("static const volatile uint8_t table[8 << 20] = {1}; (void)table[9];")
    with pytest.raises(DoesNotFit, match="does not fit in the machine's memory"):
        Emulator(code, "cortex-m4").run(sample.samples(1)[0])


def test_the_host_has_no_emulator() -> None:
    with pytest.raises(BadInput, match="no emulated machine"):
        Emulator(sample.firmware(), "host")


def test_a_missing_emulator_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator(sample.firmware(), "cortex-m4")
    emulator.run(sample.samples(1)[0])
    qemu_module.qemu_version.cache_clear()
    monkeypatch.setattr(qemu_module.shutil, "which", lambda name: None)
    with pytest.raises(ToolMissing, match="Debian package qemu-system-arm"):
        emulator.run(sample.samples(1)[0])
