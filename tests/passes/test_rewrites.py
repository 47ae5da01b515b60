"""Rewrites of shapes, dilations, biases and forms of convolution: exact, where they fit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import ModelBuilder, op, random_inputs
from peers import isolated, require

from thimble.formats.tflite import dumps, load
from thimble.geometry import axis
from thimble.graph import Graph, Model
from thimble.lower import unsupported
from thimble.passes import run_passes
from thimble.passes.convolution_form import convolution_form
from thimble.passes.dead_code import dead_code
from thimble.passes.dilate import dilate
from thimble.passes.fuse_bias import fuse_bias
from thimble.passes.join_splits import join_splits
from thimble.passes.merge_transposes import merge_transposes
from thimble.passes.remove_identity import remove_identity
from thimble.passes.static_shapes import static_shapes
from thimble.runners.program import ProgramRunner
from thimble.runners.reference import ReferenceRunner
from thimble.support import runnable

Array = np.ndarray
QUANT = {"int8": (0.05, 3), "int16": (0.01, 0), "float32": ()}


def kinds(model: Model) -> list[str]:
    return [node.op.name for node in model.graph.nodes]


def kernels(model: Model, inputs: list[Array]) -> list[bytes]:
    """Outputs of the kernels' twins, whose float sums are ordered as in C."""
    from thimble.lower import lower
    from thimble.memory import place

    program = lower(model)
    return [y.tobytes() for y in ProgramRunner(program, place(program, "greedy")).run(inputs)]


def assert_same_bits(model: Model, result: Model, seeds: range = range(2)) -> None:
    """The kernels' bits; the reference's as well for integers."""
    for seed in seeds:
        inputs = random_inputs(model.graph, seed)
        assert kernels(result, inputs) == kernels(model, inputs)
        wanted = ReferenceRunner(model).run(inputs)
        for y, x in zip(ReferenceRunner(result).run(inputs), wanted, strict=True):
            if y.dtype == np.float32:
                np.testing.assert_allclose(y, x, rtol=1e-5, atol=1e-5)
            else:
                np.testing.assert_array_equal(y, x)


def weights(b: ModelBuilder, rng: np.random.Generator, shape: tuple[int, ...], dtype: str, at: int):  # type: ignore[no-untyped-def]
    """A constant of weights, quantized per slice of axis `at` for integer activations."""
    if dtype == "float32":
        return b.const("w", rng.normal(size=shape).astype(np.float32))
    values = rng.integers(-90, 91, shape).astype(np.int8)
    return b.const("w", values, scale=rng.uniform(0.01, 0.03, shape[at]), axis=at)


def bias(b: ModelBuilder, rng: np.random.Generator, out: int, dtype: str) -> int:
    values = rng.integers(-900, 900, out)
    stored = {"int8": "int32", "int16": "int64", "float32": "float32"}[dtype]
    return b.const("b", values.astype(stored), scale=None if dtype == "float32" else 0.001)


# --- convolution_form ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
@pytest.mark.parametrize("form", ["grouped", "one channel"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_forms_of_convolution(form: str, dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    channels = int(rng.integers(2, 5)) if form == "grouped" else 1
    out = channels * int(rng.integers(1, 4)) + (form != "grouped")
    h, w, fh, fw = (int(v) for v in rng.integers([4, 4, 1, 1], [8, 8, 4, 4]))
    stride, dilation = int(rng.integers(1, 3)), 1
    padding = str(rng.choice(["SAME", "VALID"]))
    if stride == 1 and padding == "SAME":
        dilation = 2
    b = ModelBuilder()
    q = QUANT[dtype]
    x = b.input("x", (1, h, w, channels), dtype, *q)
    options = {
        "padding": padding,
        "stride_h": stride,
        "stride_w": stride,
        "dilation_h_factor": dilation,
        "dilation_w_factor": dilation,
        "fused_activation_function": str(rng.choice(["NONE", "RELU6"])),
    }
    if form == "grouped":
        room = op("CONV_2D", "Conv2DOptions", **options)
        given_w = weights(b, rng, (out, fh, fw, 1), dtype, 0)
    else:
        room = op("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", depth_multiplier=out, **options)
        given_w = weights(b, rng, (1, fh, fw, out), dtype, 3)
    given_b = bias(b, rng, out, dtype) if rng.random() < 0.7 else None
    rows, columns = (axis(size, f, stride, dilation, padding).out for size, f in ((h, fh), (w, fw)))
    y_quant = {"int8": (0.3, -9), "int16": (0.002, 0), "float32": ()}[dtype]
    y = b.op(room, [x, given_w, given_b], [((1, rows, columns, out), dtype, *y_quant)])
    model = b.build([y])
    result = run_passes(model, [convolution_form])
    assert kinds(result) == ["DEPTHWISE_CONV_2D" if form == "grouped" else "CONV_2D"]
    assert_same_bits(model, result)
    assert run_passes(result, [convolution_form]).graph.nodes[0].op == result.graph.nodes[0].op


def test_int16_with_32_bit_bias_keeps_its_form() -> None:
    """Its sums are 32 bits wide in CONV_2D and 64 in DEPTHWISE_CONV_2D."""
    rng = np.random.default_rng(0)
    b = ModelBuilder()
    x = b.input("x", (1, 4, 4, 3), "int16", 0.01)
    room = op("CONV_2D", "Conv2DOptions", padding="SAME", stride_h=1, stride_w=1)
    given_b = b.const("b", np.arange(3, dtype=np.int32), scale=0.001)
    given_w = weights(b, rng, (3, 3, 3, 1), "int16", 0)
    y = b.op(room, [x, given_w, given_b], [((1, 4, 4, 3), "int16", 0.01, 0)])
    model = b.build([y])
    assert convolution_form(model.graph) is model.graph


STRUCTURE = (
    ("conv_groups8", {"CONV_2D": 1}, {"DEPTHWISE_CONV_2D": 1}),
    ("conv_groups4", {}, {}),
    ("tinyconv_keras_depthwise_b1_int8", {"DEPTHWISE_CONV_2D": 1}, {"CONV_2D": 1}),
    ("tinyconv_tfnn_depthwise_b1_float", {"DEPTHWISE_CONV_2D": 1}, {"CONV_2D": 1}),
)


@pytest.mark.parametrize(("name", "gone", "new"), STRUCTURE, ids=[row[0] for row in STRUCTURE])
def test_forms_of_open_models(
    shared: Path, name: str, gone: dict[str, int], new: dict[str, int]
) -> None:
    model = load(shared / f"data/structure/{name}.tflite")
    result = run_passes(model, [convolution_form])
    before, after = Counter(kinds(model)), Counter(kinds(result))
    assert (dict(before - after), dict(after - before)) == (gone, new)
    assert_peers_agree(model, result, ("tflm", "litert"))


def assert_peers_agree(model: Model, result: Model, peers: tuple[str, ...]) -> None:
    """Each peer gets from the result the bits that LiteRT's reference gets from the model."""
    for peer in {"litert", *peers}:
        require(peer)
    inputs = random_inputs(model.graph, 6)
    wanted = isolated("litert", dumps(model), inputs, resolver="ref")
    for peer in peers:
        found = isolated(peer, dumps(result), inputs)
        assert [y.tobytes() for y in found] == [y.tobytes() for y in wanted], peer


# --- static_shapes and dilate --------------------------------------------------------------------

TCN = {
    "dilconv1d_causal_dyn": (6, 4),
    "dilconv1d_same_dyn": (5, 3),
    "dilconv2d_same_dyn": (3, 1),
    "dilconv2d_same_dyn_int8": (3, 1),
    "dilconv2d_same_dyn_int8_fixedshapes": (3, 1),
    "tcn_dyn_float": (61, 43),
    "tcn_dyn_int8": (61, 49),  # int8 ADDs of the bias stay: they requantize
    "tcn_dyn_int16x8": (61, 49),
    "tcn_dyn_fixedshapes_float": (61, 43),
    "tcn_dyn_fixedshapes_int8": (61, 49),
}


@pytest.mark.parametrize("name", TCN)
def test_space_to_batch_becomes_dilation(shared: Path, name: str) -> None:
    """Also what TFLM computes wrongly from the file, or refuses, it now computes as LiteRT does."""
    model = load(shared / f"data/tcn/{name}.tflite")
    result = run_passes(model)
    assert (len(model.graph.nodes), len(result.graph.nodes)) == TCN[name]
    assert not {"SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"}.intersection(kinds(result))
    assert not unsupported(result)
    peers = ("litert",) if "int16" in name else ("litert", "tflm")
    assert_peers_agree(model, result, peers)
    fixed = run_passes(model, [static_shapes])
    assert not unsupported(fixed)
    assert_same_bits(fixed, result)
    assert_same_names_same_values(fixed, result)


def assert_same_names_same_values(model: Model, result: Model) -> None:
    """What kept its name and size kept its values: `compare` pairs tensors by name."""
    inputs = random_inputs(model.graph, 3)
    before = ReferenceRunner(model).trace(inputs).tensors
    after = ReferenceRunner(result).trace(inputs).tensors
    shared_names = before.keys() & after.keys()
    assert shared_names or len(after) == 1
    for name in shared_names:
        if before[name].size == after[name].size:
            flat = before[name].reshape(after[name].shape)
            np.testing.assert_allclose(after[name], flat, rtol=1e-5, atol=1e-5)


def test_static_shapes_touches_nothing_that_is_static(shared: Path) -> None:
    graph = load(shared / "data/tcn/tcn_b1_int8.tflite").graph
    assert static_shapes(graph) is graph
    graph = load(shared / "data/bench/vww_96_int8.tflite").graph
    result = static_shapes(graph)
    assert [t.shape for t in result.tensors] == [t.shape for t in graph.tensors]
    assert not any(t.shape_signature for t in result.tensors)


def batched(seed: int, dims: int, dtype: str) -> Model:
    """SPACE_TO_BATCH_ND, a convolution, BATCH_TO_SPACE_ND with any pads and crops that fit."""
    rng = np.random.default_rng(seed)
    b = ModelBuilder()
    n, c = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    block = [int(v) for v in rng.integers(1, 4, dims)]
    size = [int(v) for v in rng.integers(5, 10, dims)]
    filters = [int(v) for v in rng.integers(1, 4, dims)]
    pads, crops = [], []
    for k in range(dims):
        before = int(rng.integers(0, 5))
        least = max((filters[k] - 1) * block[k] + 1, size[k] + before)
        after = -(-least // block[k]) * block[k] - size[k] - before
        after += block[k] * int(rng.integers(0, 2))
        pads.append((before, after))
        crops.append((int(rng.integers(0, min(before, 2) + 1)), int(rng.integers(0, after + 1))))
    is_depthwise = bool(rng.random() < 0.3)
    out = c if is_depthwise else int(rng.integers(1, 4))
    q = QUANT[dtype]
    x = b.input("x", (n, *size, c), dtype, *q)
    block_shape = b.const("block", np.array(block, np.int32))
    given_pads = b.const("pads", np.array(pads, np.int32))
    given_crops = b.const("crops", np.array(crops, np.int32))
    padded = [s + sum(p) for s, p in zip(size, pads)]
    phases = [p // s for p, s in zip(padded, block)]
    batches = n * int(np.prod(block))
    y = b.op(
        op("SPACE_TO_BATCH_ND", "SpaceToBatchNDOptions"),
        [x, block_shape, given_pads],
        [((batches, *phases, c), dtype, *q)],
    )
    row = bool(rng.random() < 0.5)  # where the dimension of size 1 goes

    def image(spatial: list[int], channels: int) -> tuple[int, ...]:
        both = spatial if dims == 2 else [1, *spatial] if row else [*spatial, 1]
        return (batches, *both, channels)

    if dims == 1:
        shape = b.const("image", np.array(image(phases, c), np.int32))
        y = b.op(op("RESHAPE", "ReshapeOptions"), [y, shape], [(image(phases, c), dtype, *q)])
    window = image(filters, 1)[1:3]
    options = {"padding": "VALID", "stride_h": 1, "stride_w": 1}
    if is_depthwise:
        room = op("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", depth_multiplier=1, **options)
        w = weights(b, rng, (1, *window, out), dtype, 3)
    else:
        room = op("CONV_2D", "Conv2DOptions", **options)
        w = weights(b, rng, (out, *window, c), dtype, 0)
    made = [p - f + 1 for p, f in zip(phases, filters)]
    y_quant = {"int8": (0.3, -9), "int16": (0.02, 0), "float32": ()}[dtype]
    y = b.op(room, [y, w, bias(b, rng, out, dtype)], [(image(made, out), dtype, *y_quant)])
    if dims == 1:
        shape = b.const("flat", np.array((batches, *made, out), np.int32))
        target = [((batches, *made, out), dtype, *y_quant)]
        y = b.op(op("RESHAPE", "ReshapeOptions"), [y, shape], target)
    result = [m * s - sum(crop) for m, s, crop in zip(made, block, crops)]
    y = b.op(
        op("BATCH_TO_SPACE_ND", "BatchToSpaceNDOptions"),
        [y, block_shape, given_crops],
        [((n, *result, out), dtype, *y_quant)],
    )
    return b.build([y])


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
@pytest.mark.parametrize("dims", [1, 2])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_dilate_keeps_bits(dims: int, dtype: str, seed: int) -> None:
    model = batched(seed, dims, dtype)
    if unsupported(model):
        return  # crops that leave nothing
    result = run_passes(model, [dilate])
    assert_same_bits(model, result, range(1))
    if kinds(result) != kinds(model):
        assert not {"SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"}.intersection(kinds(result))


def test_dilate_finds_most() -> None:
    models = [batched(seed, 1 + seed % 2, "int8") for seed in range(40)]
    found = [m for m in models if not unsupported(m) and dilate(m.graph) is not m.graph]
    assert len(found) >= 10


# --- fuse_bias -----------------------------------------------------------------------------------


def biased(case: str, existing: Array | None, activation: str = "NONE") -> Model:
    """A float layer, a reshape, and a constant that is added to it."""
    rng = np.random.default_rng(1)
    b = ModelBuilder()
    x = b.input("x", (1, 4, 4, 3))
    given_b = None if existing is None else b.const("b", existing)
    y = b.op(
        op("CONV_2D", "Conv2DOptions", padding="SAME", stride_h=1, stride_w=1),
        [x, weights(b, rng, (5, 3, 3, 3), "float32", 0), given_b],
    )
    shape = b.const("shape", np.array([1, 16, 5], np.int32))
    y = b.op(op("RESHAPE", "ReshapeOptions"), [y, shape])
    extra = rng.normal(size=5).astype(np.float32)
    extra[:2] = 0.0, -0.0
    constant = b.const("extra", extra[:1] if case == "scalar" else extra)
    name = "SUB" if case == "SUB" else "ADD"
    order = [constant, y] if case == "reversed" else [y, constant]
    z = b.op(op(name, f"{name.title()}Options", fused_activation_function=activation), order)
    return b.build([z, y] if case == "read twice" else [z])


@pytest.mark.parametrize("activation", ["NONE", "RELU6"])
@pytest.mark.parametrize("existing", [None, np.zeros(5, np.float32)], ids=["none", "zeros"])
@pytest.mark.parametrize("case", ["ADD", "SUB", "reversed", "scalar"])
def test_added_constants_become_biases(case: str, existing: Array | None, activation: str) -> None:
    model = biased(case, existing, activation)
    result = run_passes(model, [fuse_bias])
    assert kinds(result) == ["CONV_2D", "RESHAPE"]
    assert result.graph.nodes[0].op.fused_activation_function == activation  # type: ignore[attr-defined]
    assert_same_names_same_values(model, result)
    for seed in range(3):
        inputs = random_inputs(model.graph, seed)
        assert kernels(result, inputs) == kernels(model, inputs)
        wanted = ReferenceRunner(model).run(inputs)[0]
        assert ReferenceRunner(result).run(inputs)[0].tobytes() == wanted.tobytes()


def test_fuse_bias_leaves_what_would_round_otherwise() -> None:
    for model in (biased("ADD", np.ones(5, np.float32)), biased("read twice", None)):
        assert fuse_bias(model.graph) is model.graph


# --- merge_transposes and join_splits ------------------------------------------------------------


def transposed(shape: tuple[int, ...], orders: list[list[int]]) -> Model:
    b = ModelBuilder()
    y = b.input("x", shape, "int8", 0.1, 2)
    for order in orders:
        given = b.const("order", np.array(order, np.int32))
        moved = tuple(b.tensors[y].shape[d] for d in order)
        y = b.op(op("TRANSPOSE", "TransposeOptions"), [y, given], [(moved, "int8", 0.1, 2)])
    y = b.op(op("RELU"), [y], [(b.tensors[y].shape, "int8", 0.1, 2)])
    return b.build([y])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_transposes_merge(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(2, 5))
    orders = [[int(d) for d in rng.permutation(rank)] for _ in range(int(rng.integers(1, 4)))]
    model = transposed(tuple(int(v) for v in rng.integers(1, 4, rank)), orders)
    result = run_passes(model, [merge_transposes, remove_identity, dead_code])
    assert len(result.graph.nodes) <= 2
    assert_same_bits(model, result)


@pytest.mark.parametrize(
    ("shape", "orders", "left"),
    [
        ((2, 3, 4), [[1, 0, 2], [1, 0, 2]], ["RELU"]),
        ((2, 3, 4), [[1, 2, 0], [1, 2, 0]], ["TRANSPOSE", "RELU"]),
        ((1, 3, 1, 4), [[0, 2, 1, 3]], ["RESHAPE", "RELU"]),
        ((1, 3, 1, 4), [[0, 3, 1, 2]], ["TRANSPOSE", "RELU"]),
    ],
)
def test_transposes_that_cancel(
    shape: tuple[int, ...], orders: list[list[int]], left: list[str]
) -> None:
    model = transposed(shape, orders)
    result = run_passes(model, [merge_transposes, remove_identity, dead_code])
    assert kinds(result) == left
    assert_same_bits(model, result)


@pytest.mark.parametrize(
    ("parts", "joined", "axes", "left"),
    [
        (2, [0, 1], (2, 2), ["RELU"]),
        (1, [0], (1, 1), ["RELU"]),
        (2, [1, 0], (2, 2), ["SPLIT", "CONCATENATION", "RELU"]),
        (2, [0, 1], (2, 1), ["SPLIT", "CONCATENATION", "RELU"]),
        (2, [0, 0], (2, 2), ["SPLIT", "CONCATENATION", "RELU"]),
    ],
)
def test_joined_splits(
    parts: int, joined: list[int], axes: tuple[int, int], left: list[str]
) -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 4, 6), "int8", 0.1, 2)
    at = b.const("axis", np.array(axes[0], np.int32))
    shape = [1, 4, 6]
    shape[axes[0]] //= parts
    made = [(tuple(shape), "int8", 0.1, 2)] * parts
    split = b.op(op("SPLIT", "SplitOptions", num_splits=parts), [at, x], made)
    pieces = [split] if parts == 1 else list(split)
    shape[axes[1]] *= len(joined)
    y = b.op(
        op("CONCATENATION", "ConcatenationOptions", axis=axes[1]),
        [pieces[k] for k in joined],
        [(tuple(shape), "int8", 0.1, 2)],
    )
    y = b.op(op("RELU"), [y], [(tuple(shape), "int8", 0.1, 2)])
    model = b.build([y])
    result = run_passes(model, [join_splits, remove_identity, dead_code])
    assert kinds(result) == left
    assert_same_bits(model, result)


@pytest.mark.parametrize(
    "rewrite",
    [convolution_form, dilate, fuse_bias, join_splits, merge_transposes],
    ids=lambda rewrite: rewrite.__name__,
)
def test_a_graph_without_the_pattern_is_the_same_object(rewrite: object, shared: Path) -> None:
    graph: Graph = load(shared / "data/bench/kws_ref_model.tflite").graph
    assert rewrite(graph) is graph  # type: ignore[operator]


def test_a_dynamic_model_runs_layer_by_layer(shared: Path) -> None:
    """The reference takes the file's own layers, with their true shapes."""
    model = load(shared / "data/tcn/tcn_dyn_int8.tflite")
    assert unsupported(model)
    ready = runnable(model)
    assert not unsupported(ready)
    assert kinds(ready) == kinds(model)
