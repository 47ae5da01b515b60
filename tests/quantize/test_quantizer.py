"""What the quantizer makes of names, ranges, layers that stay in float, and bad requests."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from models import op
from peers import isolated, require
from quantize.nets import Net, as_integers, as_reals, quiet, random_net

from thimble.errors import BadInput, Finding
from thimble.formats.tflite import dumps, load, loads
from thimble.quantize import quantize
from thimble.runners.reference import ReferenceRunner


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
