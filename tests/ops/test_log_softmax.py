"""LOG_SOFTMAX: twins, every runner, every difference of inputs, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from single_op import Case, Operand, check, refused

from thimble import fixedpoint
from thimble.ops.log_softmax import LogSoftmax, log_f12_to_f5
from thimble.ops.softmax import exp_table


@st.composite
def kernel_calls(draw):
    """Both kernels, with and without table, any scale, rings smaller than the tensor."""
    kernel = draw(st.sampled_from(["s8", "f32"]))
    vectors, depth, rows = (draw(st.integers(1, n)) for n in (3, 40, 4))
    params = {
        "vectors": vectors,
        "depth": depth,
        "x_ring": draw(st.integers(1, rows + 1)),
        "y_ring": draw(st.integers(1, rows + 1)),
    }
    sizes = [params[ring] * vectors * depth for ring in ("x_ring", "y_ring")]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    buffers = {}
    if kernel == "f32":
        x = rng.uniform(-40, 5, sizes[0]).astype(np.float32)
        y = np.zeros(sizes[1], np.float32)
    else:
        q, s = draw(st.integers(2**30, 2**31 - 1)), draw(st.integers(2, 31))
        reach = min(fixedpoint.input_radius(5, s) + 1, 256)
        reverse_q, reverse_s = fixedpoint.quantize_multiplier(2.0 ** (31 - s) / q)
        params |= {
            "multiplier": q,
            "shift": s,
            "reach": reach,
            "reverse_multiplier": reverse_q,
            "reverse_shift": reverse_s,
        }
        spread = draw(st.sampled_from([2, 20, 128]))
        x = rng.integers(-spread, spread, sizes[0]).astype(np.int8)
        y = np.zeros(sizes[1], np.int8)
        buffers = {"table": exp_table(q, s, reach) if draw(st.booleans()) else None}
    first = draw(st.integers(0, rows - 1))
    count = draw(st.integers(1, rows - first))
    return f"thm_log_softmax_{kernel}", params, {"x": x, **buffers, "y": y}, first, count


@settings(max_examples=150, deadline=None)
@given(kernel_calls())
def test_twins(call):
    assert_twins_agree(*call)


@given(st.lists(st.integers(2**19, 2**31 - 1), min_size=1))
def test_fixed_point_logarithm(raw):
    """Within 2^-19 of the logarithm over the whole range of the sum."""
    x = np.array(raw, np.int64)
    found = log_f12_to_f5(x) / 2.0**26
    np.testing.assert_allclose(found, np.log(x / 2.0**19), atol=2.0**-19)


def _case(name, shape, dtype="int8", scale=0.1, zero_point=4, **more):
    quantized = dtype == "int8"
    x = Operand(shape, dtype, *((scale, zero_point) if quantized else (None, 0)))
    y = Operand(shape, dtype, *((16 / 256, 127) if quantized else (None, 0)))
    return Case(name, LogSoftmax(), (x,), (y,), **more)


def _cases() -> list[Case]:
    cases = []
    for shape in ((1, 12), (1, 5, 3, 10), (2, 4, 33), (9,), (1, 300), (4, 1)):
        label = "x".join(map(str, shape))
        cases.append(_case(f"{label}_f32", shape, "float32"))
        for scale in (0.02, 0.3):
            cases.append(_case(f"{label}_int8_{scale}", shape, scale=scale, draws=1))
    return cases


@pytest.mark.parametrize("case", _cases(), ids=str)
def test_agrees_everywhere(case):
    check(case)


@pytest.mark.parametrize("scale", [2e-7, 1e-3, 0.05, 0.5, 3.0, 1e6])
def test_every_difference(scale):
    low = np.arange(-128, 128, dtype=np.int8)
    values = np.stack([np.full_like(low, 127), low], axis=1)
    check(_case("all", values.shape, scale=scale, values=(values,)))


@pytest.mark.parametrize("depth", [512, 4095])
def test_many_equal_elements(depth):
    check(_case("equal", (1, depth), values=(np.full((1, depth), 5, np.int8),)))


GOOD = _case("good", (2, 8))
X, Y = GOOD.inputs[0], GOOD.outputs[0]
assert X is not None
REFUSED = {
    "dtypes": (replace(X, dtype="int16", zero_point=0), Y),
    "same shape": (X, replace(Y, shape=(16,))),
    "4095": (replace(X, shape=(1, 4096)), replace(Y, shape=(1, 4096))),
    "per tensor": (replace(X, scale=None), Y),
    "scale 16/256": (X, replace(Y, zero_point=0)),
    "above 2^-25": (replace(X, scale=2.0**-25), Y),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_limits(sentence):
    x, y = REFUSED[sentence]
    assert sentence in refused(Case(sentence, LogSoftmax(), (x,), (y,)))
