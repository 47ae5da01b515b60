"""The loops of element-wise ops, and what limits let through: whatever passes can be run."""

from __future__ import annotations

import numpy as np
import pytest
from elementwise import broadcastable, output_shape, random_buffer
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from kernels_c import assert_twins_agree
from models import quantization

from thimble import ops
from thimble.graph import Graph, Model, Node, Quant, Tensor
from thimble.invariants import check_graph
from thimble.lower import lower, unsupported
from thimble.ops.broadcast import broadcast_shape, loops

STEMS = (
    "add",
    "comparison",
    "div",
    "elementary",
    "logical",
    "maximum",
    "mul",
    "prelu",
    "relu",
    "select",
    "squared_difference",
    "unary",
)
OPS = {
    name: cls for name, cls in ops.all_ops().items() if cls.__module__.rpartition(".")[2] in STEMS
}
DTYPES = ("float32", "int8", "int16", "int32", "int64", "bool", "uint8")


@given(broadcastable(3))
@settings(max_examples=200, deadline=None)
def test_loops_visit_what_numpy_broadcasts(shapes):
    out = output_shape(shapes)
    assert broadcast_shape(shapes) == out
    found = loops(shapes, out, ["x1", "x2", "x3"])
    words = found.words
    assert words["outer"] * words["inner"] == words["y_row"]
    assert found.rows * words["y_row"] == int(np.prod(out, dtype=int))
    for k, (name, shape) in enumerate(zip(("x1", "x2", "x3"), shapes)):
        x = np.arange(int(np.prod(shape, dtype=int)))
        visited = []
        for row in range(found.rows):
            at = np.array([row % words[f"{name}_ring"] * words[f"{name}_row"]])
            walk = [] if found.walk is None else found.walk.tolist()
            for extent, *steps in walk:
                at = (at[:, None] + np.arange(extent) * steps[k]).reshape(-1)
            visited.append(at[:, None] + np.arange(words["inner"]) * words[f"{name}_step"])
        wanted = np.broadcast_to(x.reshape(shape), out).reshape(-1)
        np.testing.assert_array_equal(x[np.concatenate(visited).reshape(-1)], wanted)


def test_same_shapes_and_scalars_need_no_walk():
    for shapes in (
        ((2, 3, 4), (2, 3, 4)),
        ((1, 5, 4, 3), ()),
        ((7,), (1,)),
        ((1, 4, 3), (1, 1, 1)),
    ):
        assert loops(shapes, shapes[0], ["x1", "x2"]).walk is None


@pytest.mark.parametrize("shapes", [((2,), (3,)), ((4, 2), (3, 1, 5)), ((0,), (2,))])
def test_shapes_that_do_not_broadcast(shapes):
    assert broadcast_shape(shapes) is None


SCALES = st.sampled_from(
    [None, 0.0, 1e-45, 1e-20, 1e-6, 0.003, 1 / 256, 1 / 128, 0.7, 5.0, 1e6, 3e38]
)
BAD_SCALES = st.sampled_from([float("inf"), float("nan"), -1.0])


@st.composite
def hostile_node(draw: st.DrawFn) -> Model:
    """One op with any operands that a file could give it, most of them plausible."""
    stem = draw(st.sampled_from(STEMS))
    of_stem = [cls for cls in OPS.values() if cls.__module__.rpartition(".")[2] == stem]
    cls = draw(st.sampled_from(of_stem))

    def seldom() -> bool:
        return draw(st.integers(0, 24)) == 0

    options = {}
    if "fused_activation_function" in cls.__dataclass_fields__:
        names = ["NONE", "RELU", "RELU6", "RELU_N1_TO_1", "TANH", "SIGN_BIT"]
        options["fused_activation_function"] = draw(st.sampled_from(names))
    if "alpha" in cls.__dataclass_fields__:
        options["alpha"] = draw(st.floats(width=32))
    usual = {"select": 3, "unary": 1, "relu": 1, "elementary": 1}
    count = draw(st.integers(0, 4)) if seldom() else usual.get(stem, 2)
    shapes = draw(broadcastable(max(count, 1)))[:count]
    if stem in ("unary", "relu", "elementary") and count and not seldom():
        shapes = (shapes[0],) * count
    y_shape = output_shape(shapes) if shapes else ()
    if seldom():
        y_shape = draw(st.sampled_from([(0,), (2, 3), (1,) * 8]))
    dtype = draw(st.sampled_from(("int8",) * 6 + ("int16",) * 2 + DTYPES))
    dtypes = [dtype] * (count + 1)
    if stem == "comparison":
        dtypes[-1] = "bool"
    if stem == "select" and count:
        dtypes[0] = "bool"
    quant = quantization(draw(SCALES), draw(st.sampled_from([0, -128, 127, 5])))
    tensors = []
    for shape, usual_dtype in zip((*shapes, y_shape), dtypes):
        kind = draw(st.sampled_from(DTYPES)) if seldom() else usual_dtype
        if draw(st.booleans()):
            scale = draw(BAD_SCALES if seldom() else SCALES)
            quant = quantization(scale, draw(st.sampled_from([0, 0, -128, 127, 5])))
        if seldom():
            quant = Quant(np.float32([0.1, 0.2]), np.array([0, 0]), 0)
        tensors.append(Tensor(f"t{len(tensors)}", shape, kind, quant))
    inputs = tuple(range(count))
    if count and seldom():
        inputs = (-1, *inputs[1:])
    outputs = () if seldom() else (count,)
    node = Node(cls(**options), inputs, outputs)
    given_inputs = tuple(t for t in inputs if t >= 0)
    return Model((Graph("g", tuple(tensors), (node,), given_inputs, outputs),))


@given(hostile_node(), st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_passes_the_limits_runs_without_undefined_behaviour(model, seed):
    findings = unsupported(model)  # must not raise
    assume(not findings and not check_graph(model.graph))
    program = lower(model)
    rng = np.random.default_rng(seed)
    for call in program.calls:
        buffers = {}
        for param in call.signature.buffers:
            arg = call.args[param.name]
            if arg is None:
                buffers[param.name] = None
                continue
            buffer = program.buffers[arg.buffer]
            data = buffer.data
            if data is None:
                item = np.dtype(param.dtype).itemsize
                data = random_buffer(rng, buffer.bytes // item, buffer.dtype)
            buffers[param.name] = data.reshape(-1).view(param.dtype)
        kernel = call.kernel
        if kernel.endswith("_f32") and kernel not in ("thm_add_f32", "thm_mul_f32"):
            continue  # libm: the tests of each op compare those with a tolerance
        with np.errstate(all="ignore"):
            assert_twins_agree(kernel, dict(call.params), buffers, 0, call.rows)
