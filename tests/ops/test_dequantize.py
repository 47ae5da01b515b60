"""DEQUANTIZE: twins, peers, every channel its scale, constants, limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from moving import refuse
from single_op import Case, Exempt, Operand, check, constant, model_of, refused

from thimble.lower import lower, unsupported
from thimble.memory import place
from thimble.ops.cast import ELEMENT_TYPES
from thimble.ops.dequantize import Dequantize
from thimble.runners.program import ProgramRunner

DTYPES = st.sampled_from(["int8", "uint8", "int16"])
SEEDS = st.integers(0, 2**32 - 1)


def full_range(rng, dtype, count):
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, count, dtype, endpoint=True)


@given(DTYPES, st.integers(-255, 128), st.floats(2.0**-99, 2.0**33, width=32), SEEDS)
@settings(max_examples=100, deadline=None)
def test_twin(dtype, offset, scale, seed):
    x = full_range(np.random.default_rng(seed), dtype, 12).view(np.uint8)
    words = {"row": 4, "x_type": ELEMENT_TYPES[dtype], "input_offset": offset, "scale": scale}
    words |= {"x_ring": 3, "y_ring": 2}
    buffers = {"x": x, "y": np.zeros(8, np.float32)}
    assert_twins_agree("thm_dequantize", words, buffers, 2, 2)


@given(DTYPES, st.integers(1, 5), st.integers(1, 4), SEEDS)
@settings(max_examples=100, deadline=None)
def test_twin_channels(dtype, channels, inner, seed):
    rng = np.random.default_rng(seed)
    x = full_range(rng, dtype, 12).view(np.uint8)
    words = {"row": 4, "x_type": ELEMENT_TYPES[dtype], "channels": channels, "inner": inner}
    words |= {"x_ring": 3, "y_ring": 2}
    buffers = {
        "x": x,
        "scale": rng.uniform(1e-6, 10, channels).astype(np.float32),
        "zero_point": rng.integers(-128, 128, channels).astype(np.int32),
        "y": np.zeros(8, np.float32),
    }
    assert_twins_agree("thm_dequantize_channels", words, buffers, 2, 2)


def dequantize_case(x, **more):
    return Case(x.dtype, Dequantize(), (x,), (Operand(x.shape, "float32"),), **more)


RNG = np.random.default_rng(5)
WEIGHTS = RNG.integers(-127, 128, (3, 4, 5), np.int8)
SCALES = [0.1, 0.02, 3.0, 0.7]
CHANNELS = WEIGHTS.astype(np.float32) * np.array(SCALES, np.float32)[:, None]
WRONG = {"tflm": Exempt("TFLM takes the first scale for all channels")}
CASES = [
    dequantize_case(Operand((1, 6, 5, 4), "int8", 0.031, 5)),
    dequantize_case(Operand((1, 6, 5, 4), "int16", 0.00031)),
    dequantize_case(Operand((1, 6, 5, 4), "uint8", 0.031, 130)),
    dequantize_case(Operand((30,), "int8", 0.031, -128)),
]


@pytest.mark.parametrize("c", CASES, ids=str)
def test_case(c):
    check(c)


def computed(c):
    program = lower(model_of(c))
    return ProgramRunner(program, place(program, "greedy")).run([])[0]


def test_each_channel_has_its_scale():
    x = constant(WEIGHTS, "int8", SCALES, axis=1)
    check(dequantize_case(x, expected=(CHANNELS,), values=(), exempt=WRONG))


def test_float16_constant():
    values = RNG.normal(size=(3, 4)).astype(np.float16)
    c = dequantize_case(constant(values, "float16"))
    np.testing.assert_array_equal(computed(c), values.astype(np.float32))


def test_int4_constant():
    packed = Operand((5,), "int4", 0.5, data=np.array([0x8F, 0x17, 0x02], np.uint8))
    np.testing.assert_array_equal(computed(dequantize_case(packed)), [-0.5, -4.0, 3.5, 0.5, 1.0])


def test_float16_must_be_a_constant():
    model = model_of(refuse(Dequantize(), [Operand((2,), "float16")], [(2,)], "float32"))
    messages = [finding.message for finding in unsupported(model)]
    assert any("a float16 or int4 input must be a constant" in message for message in messages)


@pytest.mark.parametrize(
    ("c", "sentence"),
    [
        (refuse(Dequantize(), [Operand((2,), "int32", 0.1)], [(2,)], "float32"), "the input must"),
        (refuse(Dequantize(), [Operand((2,), "int8")], [(2,)], "float32"), "one scale"),
        (refuse(Dequantize(), [Operand((2,), "int8", 0.1)], [(3,)], "float32"), "same shape"),
        (refuse(Dequantize(), [Operand((2,), "int8", 0.1)], [(2,)], "int16"), "output float32"),
    ],
)
def test_limits(c, sentence):
    assert sentence in refused(c)
