"""Every pass is exact, does what its pattern says, and survives nonsense."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from models import ModelBuilder, op, random_inputs
from peers import isolated, require

from thimble import ops
from thimble.errors import InvalidModel, UnsupportedModel
from thimble.formats.tflite import dumps, load, loads
from thimble.formats.tflite.schema import values
from thimble.graph import Graph, Model, Node
from thimble.passes import PIPELINE, run_passes
from thimble.passes.compact import compact
from thimble.passes.dead_code import dead_code
from thimble.passes.fold_float_weights import fold_float_weights
from thimble.passes.fuse_activation import fuse_activation
from thimble.passes.fuse_pad import fuse_pad
from thimble.passes.remove_identity import remove_identity
from thimble.runners.reference import ReferenceRunner

RNG = np.random.default_rng(7)


def kinds(model: Model | Graph) -> list[str]:
    """The ops of the main graph, in order."""
    graph = model.graph if isinstance(model, Model) else model
    return [node.op.name for node in graph.nodes]


def outputs(model: Model, seed: int) -> list[bytes]:
    """What the reference runner makes of seeded random inputs, as bytes."""
    inputs = random_inputs(model.graph, seed)
    return [y.tobytes() for y in ReferenceRunner(model).run(inputs)]


def conv(b: ModelBuilder, x: int, channels: int, padding: str = "SAME", stride: int = 1) -> int:
    depth = b.tensors[x].shape[-1]
    w = b.const("w", RNG.normal(size=(channels, 3, 3, depth)).astype(np.float32))
    bias = b.const("bias", RNG.normal(size=channels).astype(np.float32))
    room = op("CONV_2D", "Conv2DOptions", padding=padding, stride_w=stride, stride_h=stride)
    return b.op(room, [x, w, bias])


def pad(b: ModelBuilder, x: int, rows: tuple[int, int], columns: tuple[int, int]) -> int:
    paddings = b.const("paddings", np.array([(0, 0), rows, columns, (0, 0)], np.int32))
    return b.op(op("PAD", "PadOptions"), [x, paddings])


def small_net() -> Model:
    """Something for every pass of the pipeline to find."""
    b = ModelBuilder()
    x = b.input("x", (1, 9, 8, 3))
    padded = pad(b, x, (1, 1), (0, 1))
    y = conv(b, padded, 4, "VALID", 2)
    y = b.op(op("RELU6"), [y])
    shape = b.const("shape", np.array(b.tensors[y].shape, np.int32))
    y = b.op(op("RESHAPE", "ReshapeOptions"), [y, shape])
    conv(b, y, 2)  # nobody reads it
    flat = b.const("flat", np.array([1, -1], np.int32))
    y = b.op(op("RESHAPE", "ReshapeOptions"), [y, flat], [((1, 5 * 4 * 4), "float32")])
    w = b.const("w_fc", RNG.normal(size=(6, 80)).astype(np.float32))
    y = b.op(op("FULLY_CONNECTED", "FullyConnectedOptions"), [y, w, None])
    return b.build([y], signature="serving_default")


def test_pipeline_cleans_a_small_net() -> None:
    model = small_net()
    before = kinds(model)
    result = run_passes(model)
    assert before == ["PAD", "CONV_2D", "RELU6", "RESHAPE", "CONV_2D", "RESHAPE", "FULLY_CONNECTED"]
    assert kinds(result) == ["CONV_2D", "RESHAPE", "FULLY_CONNECTED"]
    conv_op = result.graph.nodes[0].op
    assert (conv_op.padding, conv_op.fused_activation_function) == ("SAME", "RELU6")  # type: ignore[attr-defined]
    assert outputs(result, 0) == outputs(model, 0)
    signature = result.signatures[0]
    assert tuple(signature.inputs.values()) == result.graph.inputs
    assert tuple(signature.outputs.values()) == result.graph.outputs
    assert (
        len(result.graph.tensors) == len(compact(result).graph.tensors) < len(model.graph.tensors)
    )
    assert model.graph.nodes[0].op.name == "PAD", "the model given is left as it was"


# Names that the shared folders hold one file of each; what each is for.
REAL = (
    ("data/structure", "tinyconv_keras_conv2d_dyn_float.tflite"),  # a shape chain
    ("data/structure", "tinyconv_keras_depthwise_dyn_int8.tflite"),
    ("data/tcn", "tcn_b1_int8.tflite"),  # RESHAPEs round every convolution
    ("data/bench", "kws_ref_model.tflite"),
    ("data/models", "mltk__keyword_spotting_mobilenetv2__f61fd6.tflite"),  # PADs
    ("data/models", "tiny__vww_96_int8__83445c.tflite"),
    ("data/models", "DTLN__model_1__6ad5d6.tflite"),  # identity CASTs, LSTM
)


@pytest.mark.parametrize("rewrite", PIPELINE, ids=lambda p: p.__name__)
@pytest.mark.parametrize(("folder", "name"), REAL, ids=[name for _, name in REAL])
def test_pass_keeps_every_bit(shared: Path, folder: str, name: str, rewrite: object) -> None:
    model = load(shared / folder / name)
    result = run_passes(model, [rewrite])  # type: ignore[list-item]
    if dumps(result) == dumps(compact(model)):
        return  # nothing found: nothing to compare
    try:
        expected = outputs(model, 3)
    except UnsupportedModel as error:
        pytest.skip(f"the reference runner lacks an op of {name}: {error.findings[0].message}")
    assert outputs(result, 3) == expected


STORED = (
    ("ai-edge-quantizer__mnist_quantized__90b631.tflite", {"DEQUANTIZE": 3}),
    ("mediapipe__face_detection_short_range__bbff11.tflite", {"DEQUANTIZE": 74, "RELU": 17}),
    (
        "face-detection-tfl__face_detection_full_range_sparse__671dd2.tflite",
        {"DEQUANTIZE": 182, "DENSIFY": 46, "PAD": 36},
    ),
)


@pytest.mark.parametrize(("name", "gone"), STORED, ids=[name for name, _ in STORED])
def test_stored_weights_become_floats(shared: Path, name: str, gone: dict[str, int]) -> None:
    """float16, sparse and per-channel int8 constants: LiteRT gets the same bits as before."""
    require("litert")
    model = load(shared / "data/models" / name)
    result = run_passes(model)
    assert Counter(kinds(model)) - Counter(kinds(result)) == Counter(gone)
    inputs = random_inputs(model.graph, 1)
    before = isolated("litert", dumps(model), inputs, resolver="ref")
    after = isolated("litert", dumps(result), inputs, resolver="ref")
    assert [y.tobytes() for y in after] == [y.tobytes() for y in before]


def test_hybrid_model_runs_in_tflm(shared: Path) -> None:
    """TFLM refuses kws_ref_model_float32, which is hybrid; without its int8 weights it runs it."""
    require("tflm")
    model = load(shared / "data/bench/kws_ref_model_float32.tflite")
    result = run_passes(model)
    dtypes = {t.dtype for t in result.graph.tensors}
    assert dtypes == {"float32", "int32"}
    assert {n.version for n in result.graph.nodes if n.op.name == "CONV_2D"} == {1}
    inputs = random_inputs(model.graph, 2)
    hybrid = isolated("litert", dumps(model), inputs, resolver="ref")
    plain = isolated("tflm", dumps(result), inputs)
    assert np.abs(hybrid[0] - plain[0]).max() < 0.1


def test_hybrid_weights_shared_with_an_integer_node_are_copied() -> None:
    b = ModelBuilder()
    x, q = b.input("x", (1, 4)), b.input("q", (1, 4), "int8", 0.5, 3)
    w = b.const("w", RNG.integers(-127, 128, (3, 4)).astype(np.int8), scale=[0.1, 0.2, 0.3])
    room = op("FULLY_CONNECTED", "FullyConnectedOptions", asymmetric_quantize_inputs=True)
    y = b.op(room, [x, w, None], version=9)
    z = b.op(room, [q, w, None], [((1, 3), "int8", 0.7, 0)], version=4)
    result = run_passes(b.build([y, z]))
    first, second = result.graph.nodes
    tensors = result.graph.tensors
    assert [tensors[n.inputs[1]].dtype for n in (first, second)] == ["float32", "int8"]
    assert len({t.name for t in tensors}) == len(tensors)
    assert not first.op.asymmetric_quantize_inputs  # type: ignore[attr-defined]
    assert first.version == 1
    data = tensors[first.inputs[1]].data
    assert data is not None
    scales = np.array([[0.1], [0.2], [0.3]], np.float32)
    np.testing.assert_array_equal(data, b.tensors[w].data * scales)


@pytest.mark.parametrize("activation", ["RELU", "RELU6", "RELU_N1_TO_1"])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_fuse_activation_keeps_bits(activation: str, dtype: str) -> None:
    b = ModelBuilder()
    q = (0.05, 7) if dtype == "int8" else ()
    x, z = b.input("x", (1, 40), dtype, *q), b.input("z", (1, 40), dtype, *q)
    a = b.op(op("ADD", "AddOptions"), [x, z], [((1, 40), dtype, *q)])
    y = b.op(op(activation), [a], [((1, 40), dtype, *q)])
    model = b.build([y])
    try:
        expected = outputs(model, 5)
    except UnsupportedModel as error:
        pytest.skip(f"no room yet: {error.findings[0].message}")
    result = run_passes(model, [fuse_activation])
    assert kinds(result) == ["ADD"]
    assert outputs(result, 5) == expected


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("is_fused", [False, True])
@pytest.mark.parametrize(
    ("clamps", "one"),
    [
        (("RELU", "RELU6"), "RELU6"),
        (("RELU6", "RELU"), "RELU6"),
        (("RELU", "RELU"), "RELU"),
        (("RELU_N1_TO_1", "RELU_N1_TO_1"), "RELU_N1_TO_1"),
        (("RELU", "RELU_N1_TO_1"), None),
        (("RELU_N1_TO_1", "RELU6"), None),
    ],
)
def test_two_clamps_become_one(
    clamps: tuple[str, str], one: str | None, is_fused: bool, dtype: str
) -> None:
    b = ModelBuilder()
    q = (0.05, 7) if dtype == "int8" else ()
    y = b.input("x", (1, 400), dtype, *q)
    left = list(clamps)
    if is_fused:
        add = op("ADD", "AddOptions", fused_activation_function=left.pop(0))
        y = b.op(add, [y, y], [((1, 400), dtype, *q)])
    for clamp in left:
        y = b.op(op(clamp), [y], [((1, 400), dtype, *q)])
    model = b.build([y])
    result = run_passes(model, [fuse_activation])
    assert len(result.graph.nodes) == (1 if one else 2)
    if one:
        (node,) = result.graph.nodes
        assert getattr(node.op, "fused_activation_function", node.op.name) == one
    assert outputs(result, 5) == outputs(model, 5)


def test_fuse_activation_leaves_what_it_must() -> None:
    """A second reader, a model output, a rescaling activation, an activation in the way."""
    b = ModelBuilder()
    x = b.input("x", (1, 4, 4, 3))
    q = b.input("q", (1, 8), "int8", 0.1, 0)
    read_twice = conv(b, x, 4)
    y0 = b.op(op("RELU"), [read_twice])
    also = b.op(op("ADD", "AddOptions"), [read_twice, y0])
    written = conv(b, x, 4)
    y1 = b.op(op("RELU"), [written])
    w = b.const("wq", RNG.integers(-127, 128, (3, 8)).astype(np.int8), scale=0.1)
    fc = b.op(
        op("FULLY_CONNECTED", "FullyConnectedOptions"), [q, w, None], [((1, 3), "int8", 0.5, 0)]
    )
    y2 = b.op(op("RELU"), [fc], [((1, 3), "int8", 0.25, -128)])
    clamped = b.op(op("ADD", "AddOptions", fused_activation_function="RELU_N1_TO_1"), [x, x])
    y3 = b.op(op("RELU"), [clamped])
    model = b.build([also, written, y1, y2, y3])
    assert kinds(run_passes(model, [fuse_activation])) == kinds(model)


@pytest.mark.parametrize(
    ("size", "stride", "rows", "fused"),
    [
        (8, 1, (1, 1), True),
        (8, 2, (0, 1), True),  # SAME of an even size pads at the end alone
        (8, 2, (1, 1), False),
        (8, 2, (0, 2), True),  # the last padded row is never read
        (9, 2, (1, 1), True),
        (8, 1, (2, 0), False),
        (8, 1, (0, 0), False),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_fuse_pad(size: int, stride: int, rows: tuple[int, int], fused: bool, dtype: str) -> None:
    b = ModelBuilder()
    q = (0.1, 20) if dtype == "int8" else ()
    x = b.input("x", (1, size, size, 2), dtype, *q)
    paddings = b.const("p", np.array([(0, 0), rows, rows, (0, 0)], np.int32))
    padded_size = size + sum(rows)
    shape = (1, padded_size, padded_size, 2)
    padded = b.op(op("PAD", "PadOptions"), [x, paddings], [(shape, dtype, *q)])
    scale = 0.02 if dtype == "int8" else None
    wanted = RNG.integers(-127, 128, (4, 3, 3, 2))
    w = b.const("w", wanted.astype(dtype), scale=scale)
    room = op("CONV_2D", "Conv2DOptions", padding="VALID", stride_w=stride, stride_h=stride)
    out = (padded_size - 3) // stride + 1
    y = b.op(room, [padded, w, None], [((1, out, out, 4), dtype, *((0.4, 1) if q else ()))])
    model = b.build([y])
    result = run_passes(model, [fuse_pad, dead_code])
    assert kinds(result) == (["CONV_2D"] if fused else ["PAD", "CONV_2D"])
    assert outputs(result, 9) == outputs(model, 9)


def test_remove_identity_patterns() -> None:
    b = ModelBuilder()
    x = b.input("x", (2, 3, 4))
    permutation = b.const("perm", np.arange(3, dtype=np.int32))
    y = b.op(op("TRANSPOSE", "TransposeOptions"), [x, permutation], [((2, 3, 4), "float32")])
    zero = b.const("none", np.zeros((3, 2), np.int32))
    y = b.op(op("PAD", "PadOptions"), [y, zero], [((2, 3, 4), "float32")])
    axis = b.const("axis", np.array(0, np.int32))
    y = b.op(op("EXPAND_DIMS"), [y, axis], [((1, 2, 3, 4), "float32")])
    y = b.op(op("SQUEEZE", "SqueezeOptions", squeeze_dims=(0,)), [y], [((2, 3, 4), "float32")])
    flat = b.const("flat", np.array([24], np.int32))
    square = b.const("square", np.array([4, 6], np.int32))
    y = b.op(op("RESHAPE", "ReshapeOptions"), [y, flat])
    y = b.op(op("RESHAPE", "ReshapeOptions"), [y, square])
    model = b.build([y])
    result = run_passes(model)
    assert kinds(result) == ["RESHAPE"]
    assert result.graph.nodes[0].inputs[0] == result.graph.inputs[0]
    assert outputs(result, 1) == outputs(model, 1)


@pytest.mark.parametrize(("scale", "removed"), [(0.037, True), (0.038, False)])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_dequantize_quantize_pair_is_the_identity(scale: float, removed: bool, dtype: str) -> None:
    """... with equal params, for every integer of the dtype."""
    b = ModelBuilder()
    info = np.iinfo(dtype)
    zero = 5 if dtype == "int8" else 0
    every = np.arange(info.min, info.max + 1).astype(dtype)
    x = b.input("x", every.shape, dtype, 0.037, zero)
    f = b.op(op("DEQUANTIZE"), [x], [(every.shape, "float32")])
    q = b.op(op("QUANTIZE"), [f], [(every.shape, dtype, scale, zero)])
    y = b.op(op("ADD", "AddOptions"), [q, q], [(every.shape, dtype, 0.1, 0)])
    model = b.build([y])
    result = run_passes(model, [remove_identity, dead_code])
    assert kinds(result) == (["ADD"] if removed else ["DEQUANTIZE", "QUANTIZE", "ADD"])
    before = ReferenceRunner(model).run([every])[0]
    np.testing.assert_array_equal(ReferenceRunner(result).run([every])[0], before)


def test_identity_between_input_and_output_stays() -> None:
    """Input and output of a model are two buffers: something has to copy."""
    b = ModelBuilder()
    x = b.input("x", (2, 3))
    shape = b.const("shape", np.array([2, 3], np.int32))
    y = b.op(op("RESHAPE", "ReshapeOptions"), [x, shape])
    result = run_passes(b.build([y]))
    assert kinds(result) == ["RESHAPE"]


def test_identity_before_an_output_gives_it_its_producer() -> None:
    b = ModelBuilder()
    x = b.input("x", (2, 3))
    a = b.op(op("ADD", "AddOptions"), [x, x])
    shape = b.const("shape", np.array([2, 3], np.int32))
    y = b.op(op("RESHAPE", "ReshapeOptions"), [a, shape])
    z = b.op(op("ADD", "AddOptions"), [a, y])
    model = b.build([y, z])
    result = run_passes(model)
    assert kinds(result) == ["ADD", "ADD"]
    assert [result.graph.tensors[t].name for t in result.graph.outputs] == ["reshape_1", "add_2"]
    assert outputs(result, 4) == outputs(model, 4)


def test_dead_code_keeps_what_acts() -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 4))
    handle = b.op(op("VAR_HANDLE", "VarHandleOptions"), [], [((), "resource")])
    b.op(op("VAR_HANDLE", "VarHandleOptions"), [], [((), "resource")])  # assigned nowhere
    b.nodes.append(Node(op("ASSIGN_VARIABLE"), (handle, x), ()))
    b.op(op("ADD", "AddOptions"), [x, x])  # read nowhere
    y = b.op(op("SUB", "SubOptions"), [x, x])
    result = dead_code(b.graph([y]))
    assert kinds(result) == ["VAR_HANDLE", "ASSIGN_VARIABLE", "SUB"]


def test_pass_that_breaks_a_rule_is_named() -> None:
    def forget_the_tensors(graph: Graph) -> Graph:
        return graph.with_(tensors=())

    with pytest.raises(InvalidModel, match="after forget_the_tensors"):
        run_passes(small_net(), [forget_the_tensors])


def test_dump_dir_holds_the_model_after_every_pass(tmp_path: Path) -> None:
    model = small_net()
    run_passes(model, dump_dir=tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"{i:02d}_{p.__name__}.tflite" for i, p in enumerate(PIPELINE)]
    last = loads((tmp_path / names[-1]).read_bytes())
    assert outputs(last, 0) == outputs(model, 0)


@pytest.mark.parametrize("name", sorted(values("BuiltinOperator")))
def test_passes_survive_malformed_nodes(name: str) -> None:
    """Any op with too few, absent or wrongly shaped tensors: left for `limits` to refuse."""
    cls = ops.find(name)
    room = cls() if cls is not None else op(name)
    for inputs, written in itertools.product(
        [(), (-1,), (0,), (1,), (1, -1), (1, 1), (1, 2, -1), (0, 2, 3), (3, 2, 1)],
        [(), (-1,), (4,), (5,), (4, 5)],
    ):
        b = ModelBuilder()
        b.input("x", (1, 4, 4, 2), "int8", 0.1)
        b.input("f", (1, 4, 4, 2))
        b.const("c", np.array([[0, 0], [1, 1]], np.int32))
        b.const("w", np.ones((2, 3), np.int8), scale=0.1)
        for shape, dtype in (((1, 4, 4, 2), "float32"), ((3, 2), "int8")):
            b.tensor(replace(b.tensors[0], name=dtype, shape=shape, dtype=dtype))
        b.nodes.append(Node(room, inputs, written))
        b.nodes.append(Node(op("RELU"), (4,), ()) if 4 in written else Node(op("RELU"), (), ()))
        run_passes(b.build([t for t in written if t >= 0]))


def test_fold_float_weights_is_lazy(shared: Path) -> None:
    """A graph without stored weights is returned as the same object."""
    model = load(shared / "data/bench/kws_ref_model.tflite")
    assert fold_float_weights(model.graph) is model.graph
