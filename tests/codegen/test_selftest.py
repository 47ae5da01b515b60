"""NAME_self_test: passes on what was emitted, names the layer that was tampered with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from models import ModelBuilder

from thimble.build import prepare, with_self_test
from thimble.codegen.selftest import fnv1a
from thimble.errors import ToolMissing
from thimble.formats.data import random_dataset
from thimble.graph import Model
from thimble.ops.fully_connected import FullyConnected
from thimble.ops.reshape import Reshape
from thimble.runners.emulator import Emulator
from thimble.runners.emulator.build import measure_sizes
from thimble.runners.host_library import HostLibrary
from thimble.targets import load_target
from thimble.toolchain import compiler


def three_layers(dtype: str) -> Model:
    """RESHAPE (no code), FULLY_CONNECTED, FULLY_CONNECTED."""
    rng = np.random.default_rng(5)
    builder = ModelBuilder()
    is_float = dtype == "float32"
    x = builder.input("x", (1, 2, 4), dtype, None if is_float else 0.1, 0)
    at = builder.op(Reshape((1, 8)), [x], outputs=[((1, 8), dtype, None if is_float else 0.1, 0)])
    for layer in range(2):
        if is_float:
            w = builder.const(f"w{layer}", rng.normal(size=(8, 8)).astype(np.float32))
        else:
            data = rng.integers(-127, 128, (8, 8)).astype(np.int8)
            w = builder.const(f"w{layer}", data, scale=0.01)
        at = builder.op(
            FullyConnected(),
            [at, w, None],
            outputs=[((1, 8), dtype, None if is_float else 0.1, 0)],
        )
    return builder.build(outputs=[at])


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_host(dtype: str) -> None:
    model = three_layers(dtype)
    prepared = prepare(model, name="three")
    firmware = with_self_test(prepared, random_dataset(model).sample(0))
    assert HostLibrary(firmware).self_test() == 0


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("layer", [1, 2])
def test_the_layer_with_a_wrong_weight_is_named(dtype: str, layer: int) -> None:
    model = three_layers(dtype)
    inputs = random_dataset(model).sample(0)
    good = with_self_test(prepare(model, name="three"), inputs)
    graph = model.graph
    index = graph.nodes[layer].inputs[1]
    weights = graph.tensors[index]
    assert weights.data is not None
    flipped = replace(weights, data=weights.data[::-1].copy())
    tensors = (*graph.tensors[:index], flipped, *graph.tensors[index + 1 :])
    bad = prepare(model.with_graph(graph.with_(tensors=tensors)), name="three").firmware
    # The tampered model with the self test of the good one.
    test = good.files[good.source].split("/* Self test")[1]
    source = bad.files[bad.source] + "/* Self test" + test
    tampered = replace(bad, files={**bad.files, bad.source: source})
    assert HostLibrary(tampered).self_test() == layer + 1


@pytest.mark.emulator
def test_on_an_emulated_core() -> None:
    model = three_layers("int8")
    firmware = with_self_test(prepare(model, name="three"), random_dataset(model).sample(0))
    try:
        assert Emulator(firmware, "cortex-m0", optimize="size").self_test() == 0
    except ToolMissing as error:
        pytest.skip(f"EMULATOR MISSING: {error}")


def test_the_hash_is_fnv1a() -> None:
    assert fnv1a(b"") == 0x811C9DC5  # published test vectors of FNV-1a 32
    assert fnv1a(b"a") == 0xE40C292C
    assert fnv1a(b"foobar") == 0xBF9CF968


def test_golden_vectors_are_not_linked_unless_used() -> None:
    model = three_layers("int8")
    prepared = prepare(model, name="three")
    tested = with_self_test(prepared, random_dataset(model).sample(0))
    try:
        with_ = compiler(load_target("cortex-m4"))
    except ToolMissing as error:
        pytest.skip(f"COMPILER MISSING: {error}")
    assert measure_sizes(tested, with_, "size") == measure_sizes(prepared.firmware, with_, "size")
