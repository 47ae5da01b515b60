"""ARG_MAX and ARG_MIN: twins, every runner, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from single_op import Case, Exempt, Operand, check, constant, refused

from thimble.ops.arg_max import ArgMax, ArgMin

DTYPES = {"s8": "int8", "s16": "int16", "f32": "float32"}


@st.composite
def kernel_calls(draw):
    kind, suffix = draw(st.sampled_from(["max", "min"])), draw(st.sampled_from(list(DTYPES)))
    params = {word: draw(st.integers(1, 6)) for word in ("outer", "depth", "inner")}
    rows = draw(st.integers(1, 4))
    params |= {"x_ring": draw(st.integers(1, rows + 1)), "y_ring": draw(st.integers(1, rows + 1))}
    y_row = params["outer"] * params["inner"]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.integers(-3, 3, params["x_ring"] * y_row * params["depth"]).astype(DTYPES[suffix])
    if suffix == "f32":
        x[rng.integers(0, 9, x.size) == 0] = np.nan
    y = np.zeros(params["y_ring"] * y_row, np.int32)
    first = draw(st.integers(0, rows - 1))
    count = draw(st.integers(1, rows - first))
    return f"thm_arg_{kind}_{suffix}", params, {"x": x, "y": y}, first, count


@settings(max_examples=80, deadline=None)
@given(kernel_calls())
def test_twins(call):
    assert_twins_agree(*call)


def _case(name, op, shape, axis, dtype="int8", **more):
    quant = (None, 0) if dtype == "float32" else (0.1, 0)
    x, k = Operand(shape, dtype, *quant), constant(axis, "int32")
    (inferred,) = op.infer([x, k])
    return Case(name, op, (x, k), (Operand(inferred.shape, "int32"),), **more)


SHAPES = {
    "classes": ((1, 10), [-1]),
    "segmentation": ((1, 5, 4, 7), [3]),
    "rows": ((1, 5, 4, 7), [1]),
    "columns": ((2, 5, 4, 7), 2),
    "vector": ((6,), [0]),
}


def _cases() -> list[Case]:
    cases = []
    for name, (shape, axis) in SHAPES.items():
        for dtype in ("int8", "int16", "float32"):
            exempt = {}
            if dtype == "int16":
                reason = Exempt("has no int16 ARG_MAX")
                exempt = {"tflm": reason, "litert": reason}
            for op in (ArgMax("int32"), ArgMin("int32")):
                case = _case(f"{op.name}_{name}_{dtype}", op, shape, axis, dtype, exempt=exempt)
                if dtype == "int16":
                    rng = np.random.default_rng(0)
                    values = rng.integers(-5, 5, shape).astype(np.int16)
                    find = np.argmax if op.name == "ARG_MAX" else np.argmin
                    want = find(values, axis=np.ravel(axis)[0]).astype(np.int32)
                    case = replace(case, values=(values,), expected=(want,))
                cases.append(case)
    return cases


@pytest.mark.parametrize("case", _cases(), ids=str)
def test_agrees_everywhere(case):
    check(case)


X, K, Y = Operand((2, 8), "int8", 0.1), constant([1], "int32"), Operand((2,), "int32")
REFUSED = {
    "dtypes": (X, K, replace(Y, dtype="int64")),
    "the axis must be a constant": (X, Operand((1,), "int32"), Y),
    "one dimension": (X, constant([2], "int32"), Y),
    "empty": (replace(X, shape=(2, 0)), K, Y),
    "without the axis": (X, K, replace(Y, shape=(2, 1))),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_limits(sentence):
    x, axis, y = REFUSED[sentence]
    assert sentence in refused(Case(sentence, ArgMax("int32"), (x, axis), (y,)))
