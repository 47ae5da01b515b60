"""Float model in, int8 model out: the integers of TFLM and LiteRT, near the floats."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models import ModelBuilder, op
from peers import isolated, require

from thimble.errors import BadInput, Finding
from thimble.formats.tflite import dumps, load, loads
from thimble.graph import Model, Tensor
from thimble.quantize import quantize
from thimble.quantize.ranges import round_away
from thimble.runners.reference import ReferenceRunner

Array = np.ndarray


def as_integers(x: Array, tensor: Tensor) -> Array:
    """Float data as the integers of a quantized input; float inputs as they are."""
    if tensor.dtype == "float32":
        return x
    limits = np.iinfo(tensor.dtype)
    q = round_away(x / tensor.scale) + tensor.zero_point
    return np.clip(q, limits.min, limits.max).astype(tensor.dtype)


def as_reals(y: Array, tensor: Tensor) -> Array:
    """The reals that a quantized output stands for."""
    if tensor.dtype == "float32":
        return y
    return (y.astype(np.float64) - tensor.zero_point) * tensor.scale


def quiet(finding: Finding) -> None:
    """Ignore warnings in tests that are about something else."""


class Net(ModelBuilder):
    """A builder of float nets with seeded random weights."""

    def __init__(self, seed: int):
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def weights(self, name: str, *shape: int) -> int:
        return self.const(name, (self.rng.normal(size=shape) * 0.5).astype(np.float32))

    def conv(self, x: int, channels: int, **options: Any) -> int:
        w = self.weights(f"w{len(self.nodes)}", channels, 3, 3, self.tensors[x].shape[-1])
        bias = self.weights(f"bias{len(self.nodes)}", channels)
        options = {"stride_w": 1, "stride_h": 1, **options}
        return self.op(op("CONV_2D", "Conv2DOptions", **options), [x, w, bias])

    def depthwise(self, x: int, **options: Any) -> int:
        channels = self.tensors[x].shape[-1]
        w, bias = (
            self.weights(f"dw{len(self.nodes)}", 1, 3, 3, channels),
            self.weights(f"dwbias{len(self.nodes)}", channels),
        )
        options = {"stride_w": 1, "stride_h": 1, "depth_multiplier": 1, **options}
        return self.op(op("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", **options), [x, w, bias])

    def dense(self, x: int, outputs: int, **options: Any) -> int:
        depth = int(np.prod(self.tensors[x].shape[1:]))
        w = self.weights(f"fc{len(self.nodes)}", outputs, depth)
        bias = self.weights(f"fcbias{len(self.nodes)}", outputs)
        return self.op(op("FULLY_CONNECTED", "FullyConnectedOptions", **options), [x, w, bias])

    def same(self, name: str, table: str, inputs: list[int], **options: Any) -> int:
        return self.op(op(name, table, **options), inputs)


def random_net(seed: int) -> Model:
    """A few random layers of the ops that small vision and audio nets are made of."""
    b = Net(seed)
    x = b.input("x", (1, 8, 9, 3))
    y = b.conv(x, 6, fused_activation_function="RELU")
    for _ in range(int(b.rng.integers(2, 6))):
        shape = b.tensors[y].shape
        match int(b.rng.integers(9)):
            case 0:
                y = b.conv(y, 5, fused_activation_function="RELU6")
            case 1:
                y = b.depthwise(y)
            case 2:
                y = b.same("ADD", "AddOptions", [y, b.depthwise(y)])
            case 3:
                y = b.same("MUL", "MulOptions", [y, b.weights("factor", 1, 1, 1, shape[-1])])
            case 4:
                z = b.conv(y, 4)
                y = b.same("CONCATENATION", "ConcatenationOptions", [y, z], axis=3)
            case 5 if shape[1] > 2:
                pool = {"filter_width": 2, "filter_height": 2, "stride_w": 2, "stride_h": 2}
                kind = "MAX_POOL_2D" if b.rng.random() < 0.5 else "AVERAGE_POOL_2D"
                y = b.same(kind, "Pool2DOptions", [y], padding="VALID", **pool)
            case 6:
                y = b.same("MAXIMUM", "MaximumMinimumOptions", [y, b.depthwise(y)])
            case 7:
                pads = b.const(
                    f"pads{len(b.nodes)}", np.array([(0, 0), (1, 0), (0, 2), (0, 0)], np.int32)
                )
                y = b.same("PAD", "PadOptions", [y, pads])
            case _:
                y = b.same("SUB", "SubOptions", [y, b.weights("offset", 1, 1, 1, shape[-1])])
    flat = b.const("flat", np.array([1, -1], np.int32))
    y = b.op(
        op("RESHAPE", "ReshapeOptions"),
        [y, flat],
        [((1, int(np.prod(b.tensors[y].shape))), "float32")],
    )
    logits = b.dense(y, 7)
    y = b.same("SOFTMAX", "SoftmaxOptions", [logits], beta=1.0)
    return b.build([y, logits], signature="serving_default")


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["int8", "int16x8"]),
    st.booleans(),
    st.sampled_from([None, "minmax", "mse"]),
)
def test_random_nets_agree_with_tflm(
    seed: int, scheme: str, float_io: bool, ranges: str | None
) -> None:
    require("tflm")
    model = random_net(seed)
    rng = np.random.default_rng(seed)
    samples = rng.normal(size=(24, 1, 8, 9, 3)).astype(np.float32)
    io = "float32" if float_io else None
    result = quantize(model, samples, scheme, ranges, io, warn=quiet)
    data = dumps(result)
    read = loads(data)
    dtypes = {t.dtype for t in read.graph.tensors}
    integers = {"int8", "int32"} if scheme == "int8" else {"int8", "int16", "int32", "int64"}
    assert dtypes <= integers | ({"float32"} if float_io else set())
    reference = ReferenceRunner(read)
    for sample in samples[:2]:
        given_data = as_integers(sample, read.graph.tensors[read.graph.inputs[0]])
        ours = reference.run([given_data])
        for theirs, mine in zip(isolated("tflm", data, [given_data]), ours):
            np.testing.assert_array_equal(theirs, mine)


# Relative root mean square error of the logits, the median over nets with random weights: measured
# 0.029 and 0.011 over 300 samples.
@pytest.mark.parametrize(("scheme", "most"), [("int8", 0.05), ("int16x8", 0.02)])
def test_random_nets_stay_near_the_float_model(scheme: str, most: float) -> None:
    errors = []
    for seed in range(20):
        model = random_net(seed)
        samples = np.random.default_rng(seed).normal(size=(24, 1, 8, 9, 3)).astype(np.float32)
        result = quantize(model, samples, scheme, warn=quiet)
        x, logits = result.graph.tensors[result.graph.inputs[0]], result.graph.outputs[1]
        ours = ReferenceRunner(result).run([as_integers(samples[0], x)])[1]
        wanted = ReferenceRunner(model).run([samples[0]])[1]
        error = as_reals(ours, result.graph.tensors[logits]) - wanted
        errors.append(np.sqrt((error**2).mean() / (wanted**2).mean()))
    assert np.median(errors) < most


def test_names_signatures_and_versions_follow(shared: Path) -> None:
    """Versions are those of TensorFlow's own quantized file of the same network."""
    model = load(shared / "data/bench/pretrainedResnet.tflite")
    theirs = load(shared / "data/bench/pretrainedResnet_quant.tflite")
    samples = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    result = quantize(model, samples)
    versions = [(n.op.name, n.version) for n in result.graph.nodes]
    assert versions == [(n.op.name, n.version) for n in theirs.graph.nodes]
    written = [result.graph.tensors[t].name for n in result.graph.nodes for t in n.outputs]
    assert written == [model.graph.tensors[t].name for n in model.graph.nodes for t in n.outputs]
    axes = [
        (n.op.name, result.graph.tensors[n.inputs[1]].quant.axis, len(t.quant.scale))  # type: ignore[union-attr]
        for n in result.graph.nodes
        if n.op.name == "CONV_2D"
        for t in [result.graph.tensors[n.inputs[1]]]
    ]
    assert all(axis == 0 and count > 1 for _, axis, count in axes)


def test_signature_indices_stay_right() -> None:
    model = random_net(5)
    samples = np.random.default_rng(5).normal(size=(4, 1, 8, 9, 3)).astype(np.float32)
    for io in ("int8", "float32"):
        result = quantize(model, samples, io=io, warn=quiet)
        (signature,) = result.signatures
        assert tuple(signature.inputs.values()) == result.graph.inputs
        assert tuple(signature.outputs.values()) == result.graph.outputs
        ports = [*result.graph.inputs, *result.graph.outputs]
        names = [model.graph.tensors[t].name for t in (*model.graph.inputs, *model.graph.outputs)]
        assert [result.graph.tensors[t].name for t in ports] == names
        assert {result.graph.tensors[t].dtype for t in ports} == {io}


def test_concatenation_shares_one_range_and_requantizes_fixed_outputs() -> None:
    """LOGISTIC has prescribed params; where it meets a wider range a QUANTIZE adapts it."""
    b = Net(1)
    x = b.input("x", (1, 4, 4, 2))
    wide = b.conv(x, 2)
    gate = b.op(op("LOGISTIC"), [x])
    y = b.same("CONCATENATION", "ConcatenationOptions", [wide, gate], axis=3)
    model = b.build([y])
    samples = np.random.default_rng(1).normal(size=(8, 1, 4, 4, 2)).astype(np.float32)
    result = quantize(model, samples)
    assert [n.op.name for n in result.graph.nodes] == [
        "CONV_2D",
        "LOGISTIC",
        "QUANTIZE",
        "CONCATENATION",
    ]
    tensors = result.graph.tensors
    concatenation = result.graph.nodes[-1]
    params = [tensors[t].quant for t in (*concatenation.inputs, *concatenation.outputs)]
    assert all(q is not None and q.same_as(params[0]) for q in params)
    logistic = tensors[result.graph.nodes[1].outputs[0]]
    assert (float(logistic.scale), logistic.zero_point) == (1 / 256, -128)
    require("tflm")
    data = dumps(result)
    q = as_integers(samples[0], tensors[result.graph.inputs[0]])
    ours = ReferenceRunner(result).run([q])[0]
    np.testing.assert_array_equal(isolated("tflm", data, [q])[0], ours)


def test_reshape_of_a_fixed_output_keeps_its_params() -> None:
    b = Net(2)
    x = b.input("x", (1, 6))
    y = b.same("SOFTMAX", "SoftmaxOptions", [b.dense(x, 4)], beta=1.0)
    shape = b.const("shape", np.array([2, 2], np.int32))
    model = b.build([b.op(op("RESHAPE", "ReshapeOptions"), [y, shape])])
    result = quantize(model, np.random.default_rng(2).normal(size=(9, 6)).astype(np.float32))
    assert [n.op.name for n in result.graph.nodes] == ["FULLY_CONNECTED", "SOFTMAX", "RESHAPE"]
    out = result.graph.tensors[result.graph.outputs[0]]
    assert (float(out.scale), out.zero_point) == (1 / 256, -128)


@pytest.mark.parametrize("io", ["int8", "float32"])
def test_kept_layers_run_in_float_between_conversions(io: str) -> None:
    b = Net(3)
    x = b.input("x", (1, 6))
    hidden = b.dense(x, 8, fused_activation_function="RELU")
    middle = b.dense(hidden, 8)
    y = b.dense(b.same("ADD", "AddOptions", [hidden, middle]), 3)
    model = b.build([y])
    samples = np.random.default_rng(3).normal(size=(50, 6)).astype(np.float32)
    found: list[Finding] = []
    keep = [b.tensors[middle].name]
    result = quantize(model, samples, io=io, keep=keep, warn=found.append)
    assert found == [], "the user asked for it"
    kinds = [n.op.name for n in result.graph.nodes]
    core = [
        "FULLY_CONNECTED",
        "DEQUANTIZE",
        "FULLY_CONNECTED",
        "QUANTIZE",
        "ADD",
        "FULLY_CONNECTED",
    ]
    assert kinds == (core if io == "int8" else ["QUANTIZE", *core, "DEQUANTIZE"])
    kept = result.graph.nodes[kinds.index("DEQUANTIZE") + 1]
    assert {result.graph.tensors[t].dtype for t in (*kept.inputs, *kept.outputs)} == {"float32"}
    data = dumps(result)
    (a,), (z,) = result.graph.inputs, result.graph.outputs
    q = as_integers(samples[:1], result.graph.tensors[a])
    ours = ReferenceRunner(loads(data)).run([q])[0]
    wanted = ReferenceRunner(model).run([samples[:1]])[0]
    assert np.abs(as_reals(ours, result.graph.tensors[z]) - wanted).max() < 0.1
    require("tflm")
    np.testing.assert_allclose(isolated("tflm", data, [q])[0], ours, rtol=1e-6)


@pytest.mark.parametrize("keep", ["FULLY_CONNECTED", "*"])
def test_everything_kept_leaves_float_layers(keep: str) -> None:
    b = Net(4)
    x = b.input("x", (1, 6))
    model = b.build([b.dense(x, 3)])
    samples = np.random.default_rng(4).normal(size=(5, 6)).astype(np.float32)
    result = quantize(model, samples, io="float32", keep=[keep])
    assert [n.op.name for n in result.graph.nodes] == ["FULLY_CONNECTED"]
    inside = quantize(model, samples, io="int8", keep=[keep])
    kinds = [n.op.name for n in inside.graph.nodes]
    assert kinds == ["DEQUANTIZE", "FULLY_CONNECTED", "QUANTIZE"]


def test_layers_without_integer_form_are_reported() -> None:
    b = Net(6)
    x = b.input("x", (1, 6))
    squared = b.same("MUL", "MulOptions", [x, x])
    root = b.op(op("SQRT"), [squared])
    model = b.build([b.dense(root, 3)])
    samples = np.random.default_rng(6).normal(size=(5, 6)).astype(np.float32)
    found: list[Finding] = []
    result = quantize(model, samples, warn=found.append)
    kinds = [n.op.name for n in result.graph.nodes]
    assert kinds == ["MUL", "DEQUANTIZE", "SQRT", "QUANTIZE", "FULLY_CONNECTED"]
    assert [(f.rule, f.severity) for f in found] == [("kept-float", "warning")]
    assert "SQRT" in found[0].where
    with pytest.warns(UserWarning, match="kept-float"):
        quantize(model, samples)


def test_dead_activation_and_zero_weights_quantize_and_are_reported() -> None:
    b = Net(7)
    x = b.input("x", (1, 6))
    w = b.const("w", np.zeros((4, 6), np.float32))
    bias = b.const("b", np.array([-1, -2, -3, 0], np.float32))
    options = {"fused_activation_function": "RELU"}
    dead = b.op(op("FULLY_CONNECTED", "FullyConnectedOptions", **options), [x, w, bias])
    model = b.build([b.dense(dead, 3)])
    samples = np.random.default_rng(7).normal(size=(5, 6)).astype(np.float32)
    found: list[Finding] = []
    result = quantize(model, samples, warn=found.append)
    assert [f.rule for f in found] == ["dead-activation"]
    for tensor in result.graph.tensors:
        assert tensor.quant is None or (tensor.quant.scale > 0).all()
    (a,), (z,) = result.graph.inputs, result.graph.outputs
    ours = ReferenceRunner(result).run([as_integers(samples[:1], result.graph.tensors[a])])[0]
    wanted = ReferenceRunner(model).run([samples[:1]])[0]
    np.testing.assert_allclose(as_reals(ours, result.graph.tensors[z]), wanted, atol=0.02)


def test_shared_weights_are_quantized_once_and_biases_per_use() -> None:
    b = Net(8)
    x = b.input("x", (1, 6))
    w, bias = b.weights("w", 6, 6), b.weights("b", 6)
    room = op("FULLY_CONNECTED", "FullyConnectedOptions")
    y = b.op(room, [b.op(room, [x, w, bias]), w, bias])
    model = b.build([y])
    samples = np.random.default_rng(8).normal(size=(20, 6)).astype(np.float32)
    result = quantize(model, samples)
    first, second = result.graph.nodes
    assert first.inputs[1] == second.inputs[1]
    assert first.inputs[2] != second.inputs[2]
    names = [t.name for t in result.graph.tensors]
    assert len(set(names)) == len(names)


def test_bad_requests_are_findings() -> None:
    model = random_net(9)
    samples = np.random.default_rng(9).normal(size=(3, 1, 8, 9, 3)).astype(np.float32)
    with pytest.raises(BadInput) as caught:
        quantize(model, samples, scheme="int4", ranges="kl", io="uint8", percentile=3)
    assert [f.where.split()[0] for f in caught.value.findings] == [
        "scheme",
        "ranges",
        "io",
        "percentile",
    ]
    with pytest.raises(BadInput, match="softmax_"):
        quantize(model, samples, keep=["softmax_99"])
    with pytest.raises(BadInput, match="already-quantized"):
        quantize(quantize(model, samples, warn=quiet), samples)
    samples[1, 0, 3, 3, 1] = np.nan
    samples[2, 0, 0, 0, 0] = np.inf
    with pytest.raises(BadInput, match="NaN or infinite"):
        quantize(model, samples)
    with pytest.raises(BadInput, match="shape"):
        quantize(model, samples[..., :2])


def test_layer_that_overflows_stays_in_float() -> None:
    """A mask of -inf is finite nowhere downstream: that part cannot be integer."""
    b = Net(10)
    x = b.input("x", (1, 4))
    mask = b.const("mask", np.array([[0, -np.inf, 0, 0]], np.float32))
    y = b.same("SOFTMAX", "SoftmaxOptions", [b.same("ADD", "AddOptions", [x, mask])], beta=1.0)
    model = b.build([b.dense(y, 2)])
    found: list[Finding] = []
    samples = np.random.default_rng(10).normal(size=(5, 4)).astype(np.float32)
    result = quantize(model, samples, warn=found.append)
    kinds = [n.op.name for n in result.graph.nodes]
    assert kinds == ["DEQUANTIZE", "ADD", "SOFTMAX", "QUANTIZE", "FULLY_CONNECTED"]
    assert [f.rule for f in found] == ["kept-float", "kept-float"]


def test_progress_and_data_forms() -> None:
    model = random_net(11)
    samples = np.random.default_rng(11).normal(size=(5, 8, 9, 3)).astype(np.float32)
    seen: list[tuple[int, int]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = quantize(model, samples, progress=lambda done, total: seen.append((done, total)))
        others = [
            quantize(model, {"x": samples}),
            quantize(model, list(samples)),
            quantize(model, [{"x": s} for s in samples]),
        ]
    assert seen == [(i, 5) for i in range(1, 6)]
    assert all(dumps(other) == dumps(first) for other in others)


KWS = "speech_commands_open_mfcc"
ACCURACY = (
    # float model, TensorFlow's int8 model, data, inputs, labels, calibration, divisor, may lose
    ("pretrainedResnet", "pretrainedResnet_quant", "cifar10_open", "x_test", "x_calib", 200, 1, 1),
    ("kws_ref_model_float32", "kws_ref_model", KWS, "f_dev", "f_calib", 100, 1, 2),
    ("vww_96_float", "vww_96_int8", "vww_open", "x", "x", 62, 255, 0),
)  # fmt: skip


@pytest.mark.parametrize("case", ACCURACY, ids=[case[0] for case in ACCURACY])
def test_accuracy_is_that_of_tensorflows_quantizer(shared: Path, case: tuple[Any, ...]) -> None:
    """Right answers of LiteRT on our file and on TensorFlow's; TFLM gives the bits we give."""
    require("litert")
    name, theirs, archive, inputs, calibration, count, divisor, may_lose = case
    arrays = np.load(shared / f"data/data/{archive}.npz")
    labels = arrays[{"x_test": "y_test", "f_dev": "y_dev", "x": "y"}[inputs]]
    model = load(shared / f"data/bench/{name}.tflite")
    shape = model.graph.tensors[model.graph.inputs[0]].shape
    x = (arrays[inputs].astype(np.float32) / divisor).reshape(-1, *shape)
    samples = (arrays[calibration][:count].astype(np.float32) / divisor).reshape(-1, *shape)
    result = quantize(model, samples)
    reference = load(shared / f"data/bench/{theirs}.tflite")
    ours_right, theirs_right = (right_answers(m, x, labels) for m in (result, reference))
    assert ours_right >= theirs_right - may_lose
    require("tflm")
    runner = ReferenceRunner(result)
    for sample in x[:2]:
        q = as_integers(sample, result.graph.tensors[result.graph.inputs[0]])
        np.testing.assert_array_equal(isolated("tflm", dumps(result), [q])[0], runner.run([q])[0])


def right_answers(model: Model, x: Array, labels: Array) -> int:
    """How often the largest output of LiteRT's optimised kernels is the label."""
    from ai_edge_litert import interpreter as litert

    kind = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    runtime = litert.Interpreter(
        model_content=dumps(model), experimental_op_resolver_type=kind, num_threads=1
    )
    runtime.allocate_tensors()
    first, last = (d()[0]["index"] for d in (runtime.get_input_details, runtime.get_output_details))
    right = 0
    for sample, label in zip(x, labels):
        runtime.set_tensor(first, as_integers(sample, model.graph.tensors[model.graph.inputs[0]]))
        runtime.invoke()
        right += int(runtime.get_tensor(last).argmax() == label)
    return right
