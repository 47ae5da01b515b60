"""The kernels whose constants `pairs.py` makes are their twins, on the host and on the cores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from kernels_emulated import Call, assert_core_agrees
from ops.paired_calls import MAKERS, layer

from thimble import pairs
from thimble.targets import load_target
from thimble.toolchain import find_compilers


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_kernel_is_its_twin(make: Callable[[np.random.Generator], Call]) -> None:
    """The plain C that stands in for the instructions of the cores."""
    rng = np.random.default_rng(5)
    for _ in range(300):
        call = make(rng)
        assert_twins_agree(
            call.kernel, dict(call.params), dict(call.buffers), call.y_first, call.y_count
        )


def _runs() -> list[Any]:
    return [
        pytest.param(name, compiler.kind, id=f"{name}-{compiler.kind}")
        for name in ("cortex-m4", "cortex-m33", "cortex-m0")
        for compiler in find_compilers(load_target(name))
    ]


@pytest.mark.parametrize(("target", "compiler"), _runs())
def test_core_leaves_the_bytes_of_the_twins(target: str, compiler: str) -> None:
    rng = np.random.default_rng(6)
    calls = [make(rng) for make, count in MAKERS.items() for _ in range(count)]
    assert_core_agrees(calls, target, compiler)


@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_packing_is_undone(outputs: int, segments: int, length: int, seed: int) -> None:
    w = np.random.default_rng(seed).integers(-127, 128, (outputs, segments, length))
    packed = pairs.pack(w.astype(np.int8))
    assert np.array_equal(pairs.unpack(packed, outputs, segments, length), w)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_joint_packing_is_undone(outputs: int, products: int, seed: int) -> None:
    w = np.random.default_rng(seed).integers(-128, 128, (outputs, products)).astype(np.int8)
    assert np.array_equal(pairs.unpack_joint(pairs.pack_joint(w), outputs, products), w)


def test_joint_weights_may_not_carry() -> None:
    """-128 * -128 twice is 2^15, which is no int16."""
    fields = (np.array([0]), np.array([1 << 30]), np.array([-9]), 0, -128, 127)
    assert pairs.prepare_joint(pairs.Outputs(np.array([[-128, -127]], np.int8), *fields))
    assert pairs.prepare_joint(pairs.Outputs(np.array([[-127, -128, -128]], np.int8), *fields))
    assert not pairs.prepare_joint(pairs.Outputs(np.array([[-128, -128]], np.int8), *fields))


def test_records_are_undone() -> None:
    of = layer(np.random.default_rng(0), 7, 1)
    found = pairs.from_records(pairs.records(of.bias, of.multiplier, of.shift), 7)
    for got, want in zip(found, (of.bias, of.multiplier, of.shift)):
        assert np.array_equal(got, want)


def test_constant_outputs_are_settled() -> None:
    """A multiplier that rounds to nothing: the channel's weights go, its output stays."""
    of = pairs.Outputs(
        np.array([[100, -100], [3, 4]], np.int8),
        np.array([1 << 30, 50]),
        np.array([1 << 30, 1 << 30]),
        np.array([-31, -4]),
        7,
        -128,
        127,
    )
    done = pairs.settle(of)
    assert done.w.tolist() == [[0, 0], [3, 4]]
    assert done.bias.tolist() == [0, 50]
    assert done.shift.tolist() == [-1, -4]
    assert pairs.prepare(of, 1) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"shift": np.array([0, -3])},
        {"shift": np.array([-3, 2])},
        {"bias": np.array([(1 << 23) + (1 << 16), 0]), "shift": np.array([-16, -3])},
        {"w": np.array([[-128] * 4, [-1] * 4], np.int8)},
    ],
)
def test_layers_out_of_bounds_are_left_to_plain_c(change: dict[str, Any]) -> None:
    fields = {
        "w": np.array([[100] * 4, [-1] * 4], np.int8),
        "bias": np.array([0, 0]),
        "multiplier": np.array([1 << 30, 1 << 30]),
        "shift": np.array([-8, -3]),
    }
    assert pairs.prepare(pairs.Outputs(**fields, output_offset=0, act_min=-128, act_max=127), 1)
    changed = pairs.Outputs(**(fields | change), output_offset=0, act_min=-128, act_max=127)
    assert pairs.prepare(changed, 1) is None
