"""The emitted C in this process: outputs, trace, guards, sanitizers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sample_firmware as sample

from thimble.errors import BadInput
from thimble.runners.host_library import ArenaOverrun, HostLibrary
from thimble.runners.sanitized import SanitizerFinding, run_sanitized
from thimble.targets import load_target
from thimble.toolchain import find_compilers

COMPILERS = [c.kind for c in find_compilers(load_target("host"))]


@pytest.fixture(params=COMPILERS)
def compiler(request: pytest.FixtureRequest) -> str:
    return request.param


def test_some_host_compiler_was_found() -> None:
    assert COMPILERS, "neither cc, gcc, clang nor the ziglang wheel is here: nothing was tested"


@pytest.mark.parametrize("in_arena", [True, False])
def test_outputs_are_those_of_the_definition(compiler: str, in_arena: bool) -> None:
    library = HostLibrary(sample.firmware(), compiler, in_arena=in_arena)
    for inputs in sample.samples(20):
        for got, want in zip(library.run(inputs), sample.expected(inputs[0])):
            np.testing.assert_array_equal(got, want)
            assert got.dtype == want.dtype


def test_trace_names_every_layer_and_reads_each_right_after_it(compiler: str) -> None:
    library = HostLibrary(sample.firmware(), compiler)
    (inputs,) = sample.samples(1)
    trace = library.trace(inputs)
    real, hidden = sample.expected(inputs[0])
    assert [row[1] for row in trace.layers] == ["FULLY_CONNECTED", "DEQUANTIZE", "RESHAPE"]
    assert list(trace.tensors) == ["hidden", "real", "view"]
    np.testing.assert_array_equal(trace["hidden"], hidden.reshape(1, 8))
    np.testing.assert_array_equal(trace["real"], real.reshape(1, 8))
    np.testing.assert_array_equal(trace["view"], real)
    np.testing.assert_array_equal(trace.outputs["hidden"], hidden)
    with pytest.raises(KeyError, match="hidden, real, view"):
        trace["nothing"]


def test_self_test_finds_a_wrong_golden_vector(compiler: str) -> None:
    assert HostLibrary(sample.firmware(), compiler).self_test() == 0
    assert HostLibrary(sample.firmware(self_test="77"), compiler).self_test() == 1
    with pytest.raises(BadInput, match="no-self-test"):
        HostLibrary(sample.firmware(self_test=None), compiler).self_test()


def test_every_wrong_input_is_a_finding() -> None:
    library = HostLibrary(sample.firmware())
    with pytest.raises(BadInput, match=r"array is int16 \[1, 16\], the model takes int8"):
        library.run([np.zeros((1, 16), np.int16)])
    with pytest.raises(BadInput, match=r"\[16\]"):
        library.run([np.zeros(16, np.int8)])
    with pytest.raises(BadInput, match="2 inputs given, the model has 1"):
        library.run([np.zeros((1, 16), np.int8)] * 2)


@pytest.mark.parametrize("place", ["io->arena[64]", "io->arena[-1]", "io->output1[8]"])
def test_a_write_outside_arena_or_output_is_reported(place: str) -> None:
    model = sample.firmware(f"(float)({place} = x[i])")
    library = HostLibrary(model, in_arena=False)
    with pytest.raises(ArenaOverrun, match="1 of the 64 guard bytes"):
        library.run([np.ones((1, 16), np.int8)])


def test_seconds_are_measured_per_inference() -> None:
    times = HostLibrary(sample.firmware()).seconds(sample.samples(1)[0], 5)
    assert len(times) == 5
    assert all(0 < t < 1 for t in times)


def test_sanitizers_pass_the_sample_and_stop_a_read_past_the_arena() -> None:
    if not any(not c.is_zig for c in find_compilers(load_target("host"))):
        pytest.skip("NO SANITIZERS: no host compiler but zig's, which has no sanitizer runtime")
    samples = sample.samples(4)
    for inputs, outputs in zip(samples, run_sanitized(sample.firmware(), samples)):
        for got, want in zip(outputs, sample.expected(inputs[0])):
            np.testing.assert_array_equal(got, want)
    with pytest.raises(SanitizerFinding, match="heap-buffer-overflow"):
        run_sanitized(sample.firmware("(float)x[i + 41]"), samples)
    with pytest.raises(SanitizerFinding, match="signed integer overflow"):
        run_sanitized(sample.firmware("(float)(x[i] * 10000000 * 1000)"), samples)


def test_an_arena_of_the_exact_alignment_asked_for_is_enough() -> None:
    model = replace(sample.firmware(), arena_align=4)
    inputs = sample.samples(1)[0]
    outputs = HostLibrary(model).run(inputs)
    np.testing.assert_array_equal(outputs[1], sample.expected(inputs[0])[1])
