"""`shrink` keeps every bit, finds what it should, and leaves what it must."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from int8_nets import Int8Net, random_net
from models import op, random_inputs
from peers import isolated, require

from thimble.cli import execute
from thimble.formats.tflite import dumps, load
from thimble.graph import Graph, Model
from thimble.invariants import check_model
from thimble.ops.contract import NodeView
from thimble.passes import run_passes
from thimble.passes.shrink import known, shrink
from thimble.runners.reference import ReferenceRunner

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def without_idle(graph: Graph) -> Graph:
    """`shrink`, keeping no channel to round numbers up."""
    return shrink(graph, 1)


def shrunk(model: Model) -> Model:
    """The model after this pass alone, exact numbers of channels."""
    return run_passes(model, [without_idle])


def work(graph: Graph) -> tuple[int, int]:
    """(weights, multiplications) of convolutions and fully connected layers."""
    views = [NodeView(graph, i) for i, n in enumerate(graph.nodes) if n.op.name in WEIGHTED]
    return sum(v.x(1).elements for v in views), sum(v.op.macs(v) for v in views)


def channels(model: Model) -> list[int]:
    """Of every layer's output."""
    return [model.graph.tensors[n.outputs[0]].shape[-1] for n in model.graph.nodes]


def assert_same_bits(model: Model, result: Model, seeds: Sequence[int] = range(3)) -> None:
    assert not check_model(result)
    before, after = ReferenceRunner(model), ReferenceRunner(result)
    for seed in seeds:
        inputs = random_inputs(model.graph, seed)
        for wanted, found in zip(before.run(inputs), after.run(inputs), strict=True):
            np.testing.assert_array_equal(found, wanted)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=120, deadline=None)
def test_random_nets_keep_every_bit(seed: int) -> None:
    model = random_net(seed)
    assert_same_bits(model, shrunk(model))
    rounded = run_passes(model, [shrink])
    assert_same_bits(model, rounded)
    assert shrink(rounded.graph) is rounded.graph, "once is enough"


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_bounds_and_equal_channels_hold(seed: int) -> None:
    """Every value that a layer computes lies within its channel's bounds."""
    model = random_net(seed)
    facts = known(model.graph)
    runner = ReferenceRunner(model)
    extremes = [np.full((1, *t.shape[1:]), v, np.int8) for t in _inputs(model) for v in (-128, 127)]
    for inputs in [random_inputs(model.graph, seed), *([x] for x in extremes)]:
        values = runner.evaluate(inputs)
        for t in {t for node in model.graph.nodes for t in node.outputs}:
            columns = values[t].reshape(-1, facts.count(t)).astype(np.int64)
            assert (columns >= facts.low[t]).all()
            assert (columns <= facts.high[t]).all()
            for same in np.unique(facts.same[t]):
                equal = columns[:, facts.same[t] == same]
                assert (equal == equal[:, :1]).all()


def _inputs(model: Model) -> list:  # type: ignore[type-arg]
    return [model.graph.tensors[t] for t in model.graph.inputs]


def test_random_nets_shrink() -> None:
    """Nearly all of them, and in the peers as well they compute the same."""
    require("tflm")
    smaller = 0
    for seed in range(12):
        model = random_net(seed)
        result = shrunk(model)
        smaller += work(result.graph) < work(model.graph)
        for peer in ("tflm", "litert"):
            inputs = random_inputs(model.graph, seed)
            wanted = isolated(peer, dumps(model), inputs)
            found = isolated(peer, dumps(result), inputs)
            assert [y.tobytes() for y in found] == [y.tobytes() for y in wanted], (peer, seed)
    assert smaller >= 10


def rows(*values: float) -> np.ndarray:
    """Pointwise weights [O, 1, 1, C], one row for each list of values."""
    return np.array(values, np.int8)[:, None, None, :]


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


# What a 1 x 1 convolution of 3 inputs makes: [0] and [3] compute, [1] is constant, [2] saturates.
FIRST = rows([9, -20, 30], [0, 0, 0], [1, 2, 1], [-30, 8, 11])
BIAS = ints(100, 250, 10**6, 40)


def test_constant_channels_go_into_the_bias() -> None:
    net = Int8Net((1, 4, 4, 3))
    net.conv(4, weights=FIRST, bias=BIAS)
    net.conv(2, weights=rows([5, 60, -70, 8], [7, -90, 33, 1]), bias=ints(5, 6), activation="NONE")
    model = net.model()
    result = shrunk(model)
    assert channels(result) == [2, 2]
    before = model.graph.tensors[model.graph.nodes[1].inputs[2]].data
    after = result.graph.tensors[result.graph.nodes[1].inputs[2]].data
    assert before is not None
    assert after is not None
    assert (before != after).all()
    assert_same_bits(model, result)


def test_a_bias_is_made_where_a_constant_needs_one() -> None:
    net = Int8Net((1, 4))
    net.dense(3, weights=np.array([[1, 2, 3, 4], [0, 0, 0, 0], [4, 3, 2, 1]], np.int8))
    net.dense(2, weights=np.array([[1, 50, 3], [2, 60, 4]], np.int8))
    model = net.model()
    hidden = model.graph.tensors[model.graph.nodes[0].outputs[0]]
    result = shrunk(model)
    # Without a bias the constant is the zero point of the output, which adds nothing.
    assert [len(n.inputs) for n in result.graph.nodes] == [3, 3]
    assert result.graph.nodes[1].inputs[2] == -1
    assert channels(result) == [2, 2]
    assert_same_bits(model, result)
    assert hidden.shape == (1, 3)

    net = Int8Net((1, 4))
    w = np.array([[1, 2, 3, 4], [0, 0, 0, 0], [4, 3, 2, 1]], np.int8)
    net.dense(3, weights=w, bias=ints(0, 9000, 0))
    net.dense(2, weights=np.array([[1, 50, 3], [2, 60, 4]], np.int8))
    model = net.model()
    result = shrunk(model)
    bias = result.graph.tensors[result.graph.nodes[1].inputs[2]]
    assert (bias.dtype, bias.shape) == ("int32", (2,))
    assert_same_bits(model, result)
    for peer in ("tflm", "litert"):
        require(peer)
        inputs = random_inputs(model.graph, 1)
        wanted, found = (isolated(peer, dumps(m), inputs)[0] for m in (model, result))
        np.testing.assert_array_equal(found, wanted)


def test_unused_channels_go_backwards_through_every_layer() -> None:
    """The last layer reads one channel of three: the others go, and what only they read."""
    net = Int8Net((1, 4, 4, 2))
    net.conv(3, weights=rows([20, -30], [30, 30], [-9, 20]), bias=ints(0, 0, 0))
    net.conv(3, weights=rows([9, 0, 0], [0, 8, 1], [0, 7, -5]), bias=ints(0, 0, 0))
    net.depthwise(weights=np.full((1, 3, 3, 3), 7, np.int8), bias=ints(0, 0, 0))
    net.conv(2, weights=rows([9, 0, 0], [-12, 0, 0]), bias=ints(0, 0), activation="NONE")
    model = net.model()
    result = shrunk(model)
    assert channels(result) == [1, 1, 1, 2]
    assert_same_bits(model, result)


def test_equal_channels_merge_where_weights_have_room() -> None:
    net = Int8Net((1, 4, 4, 2))
    first = rows([20, -30], [20, -30], [-9, 20], [-9, 20])
    net.rng = np.random.default_rng(3)
    net._weighted(
        "CONV_2D",
        first,
        ints(5, 5, 7, 7),
        (1, 4, 4, 4),
        padding="VALID",
        stride_h=1,
        stride_w=1,
    )
    scales = net.b.tensors[net.b.nodes[0].inputs[1]].quant
    assert scales is not None
    scales.scale[:] = 0.01
    # 60 + 50 is a weight, 100 + 90 is none.
    net.conv(1, 3, weights=_tiled([60, 50, 100, 90]), bias=ints(0), activation="NONE")
    model = net.model()
    result = shrunk(model)
    assert channels(result) == [3, 1]
    assert_same_bits(model, result)


def _tiled(values: Sequence[int]) -> np.ndarray:
    """3 x 3 weights [1, 3, 3, C], the same at every tap."""
    return np.broadcast_to(np.array(values, np.int8), (1, 3, 3, len(values))).copy()


@pytest.mark.parametrize(
    ("window", "padding", "bias", "left"),
    [
        (1, "SAME", 9000, 1),  # pointwise: the same everywhere
        (3, "VALID", 9000, 1),
        (3, "SAME", 9000, 2),  # missing taps at the border
        (3, "SAME", 0, 1),  # the constant is the zero point, as padding is
    ],
)
def test_borders_notice_a_constant(window: int, padding: str, bias: int, left: int) -> None:
    net = Int8Net((1, 5, 5, 2))
    net.conv(2, weights=rows([20, -30], [0, 0]), bias=ints(0, bias), activation="NONE")
    w = np.array([[3, 4], [5, -6]], np.int8)[:, None, None, :]
    tiled = np.broadcast_to(w, (2, window, window, 2)).copy()
    net.conv(2, window, padding, weights=tiled, bias=ints(0, 0), activation="NONE")
    model = net.model()
    result = shrunk(model)
    assert channels(result) == [left, 2]
    assert_same_bits(model, result)


def test_taps_that_never_leave_the_image_do_not_notice() -> None:
    """A padded 3 x 3 layer whose weights for the constant are zero but in the middle."""
    net = Int8Net((1, 5, 5, 2))
    net.conv(2, weights=rows([20, -30], [0, 0]), bias=ints(0, 9000), activation="NONE")
    w = np.ones((2, 3, 3, 2), np.int8)
    w[..., 1] = 0
    w[:, 1, 1, 1] = 77
    net.conv(2, 3, weights=w, bias=ints(0, 0), activation="NONE")
    model = net.model()
    result = shrunk(model)
    assert channels(result) == [1, 2]
    assert_same_bits(model, result)


@pytest.mark.parametrize(("bias", "left"), [(400, 2), (10**7, 1)])
def test_depthwise_of_a_constant(bias: int, left: int) -> None:
    """Its output differs at the border, unless that saturates: only then is it a constant."""
    net = Int8Net((1, 5, 5, 2))
    net.conv(2, weights=rows([20, -30], [0, 0]), bias=ints(0, 9000), activation="NONE")
    net.depthwise(weights=np.full((1, 3, 3, 2), 2, np.int8), bias=ints(0, bias))
    net.conv(2, weights=rows([20, -30], [30, 3]), bias=ints(0, 0), activation="NONE")
    model = net.model()
    result = shrunk(model)
    assert channels(result) == [left, left, 2]
    assert_same_bits(model, result)


def test_a_layer_keeps_one_channel() -> None:
    net = Int8Net((1, 4, 4, 3))
    net.conv(4, weights=rows(*[[0, 0, 0]] * 4), bias=ints(1, 2, 3, 9000))
    net.depthwise(weights=np.full((1, 3, 3, 4), 2, np.int8), bias=ints(0, 0, 0, 0))
    net.conv(2, weights=rows([20, -30, 5, 5], [0, 30, 3, 3]), bias=ints(0, 0))
    model = net.model()
    result = shrunk(model)
    assert min(channels(result)) >= 1
    assert channels(result)[0] < 4
    assert_same_bits(model, result)


def test_flatten_takes_all_positions_of_a_channel() -> None:
    net = Int8Net((1, 2, 2, 3))
    net.conv(4, weights=FIRST, bias=BIAS, activation="NONE")
    net.reshape(1, 16)
    net.dense(3)
    model = net.model()
    result = shrunk(model)
    assert channels(result) == [2, 8, 3]
    assert_same_bits(model, result)


def test_residual_keeps_what_either_side_computes() -> None:
    net = Int8Net((1, 4, 4, 2))
    left = net.conv(3, weights=rows([20, -30], [0, 0], [0, 0]), bias=ints(0, 50, 60))
    net.conv(3, 1, weights=rows([20, -30, 1], [0, 40, 9], [0, 0, 0]), bias=ints(0, 5, 6))
    net.arithmetic("ADD", left)
    net.conv(2, weights=rows([1, 2, 3], [4, 5, 6]), bias=ints(0, 0), activation="NONE")
    model = net.model()
    result = shrunk(model)
    assert channels(result) == [1, 1, 1, 2], "channel 1 is constant on both sides, as is 2"
    assert_same_bits(model, result)

    net = Int8Net((1, 4, 4, 2))
    left = net.conv(3, weights=rows([20, -30], [0, 0], [0, 0]), bias=ints(0, 50, 60))
    net.conv(3, 1, weights=rows([20, -30, 1], [40, 40, 9], [0, 0, 0]), bias=ints(0, 5, 6))
    net.arithmetic("ADD", left)
    net.conv(2, weights=rows([1, 2, 3], [4, 5, 6]), bias=ints(0, 0), activation="NONE")
    model = net.model()
    result = shrunk(model)
    assert channels(result) == [2, 2, 2, 2]
    assert_same_bits(model, result)


def test_inputs_and_outputs_keep_their_channels() -> None:
    net = Int8Net((1, 4, 4, 3))
    net.conv(4, weights=FIRST, bias=BIAS)
    model = net.model()
    assert shrink(model.graph) is model.graph
    net.same(op("SOFTMAX", "SoftmaxOptions", beta=1.0), [net.x], net.shape, 1 / 256, -128)
    model = net.model()
    assert shrink(model.graph) is model.graph


@pytest.mark.parametrize(("before", "computing", "after"), [(8, 3, 4), (8, 5, 8), (6, 5, 5)])
def test_numbers_of_channels_are_rounded_up(before: int, computing: int, after: int) -> None:
    """... with idle channels, to a multiple of 4 where there are as many."""
    net = Int8Net((1, 4, 4, 3))
    first = np.zeros((before, 1, 1, 3), np.int8)
    first[:computing] = net.rng.integers(10, 60, (computing, 1, 1, 3))
    net.conv(before, weights=first, bias=np.full(before, 4000, np.int32), activation="NONE")
    net.depthwise(bias=np.zeros(before, np.int32), weights=np.ones((1, 1, 1, before), np.int8))
    rest = net.rng.integers(10, 60, (2, 1, 1, before)).astype(np.int8)
    net.conv(2, weights=rest, bias=ints(0, 0), activation="NONE")
    model = net.model()
    result = run_passes(model, [shrink])
    assert channels(result) == [after, after, 2]
    if after < before:
        last = result.graph.tensors[result.graph.nodes[2].inputs[1]].data
        assert last is not None
        assert np.count_nonzero(last.any(axis=0)) == computing
    assert_same_bits(model, result)


def test_float_graphs_are_left_alone(shared: Path) -> None:
    graph = load(shared / "data/bench/vww_96_float.tflite").graph
    assert shrink(graph) is graph


# Weights and multiplications of the open models that have such channels, before and after, with
# no idle ones.
OPEN = {
    "bench/vww_96_int8": ((208112, 7489664), (29066, 3727313)),
    "bench/person_detect": ((207968, 7157888), (207710, 7155582)),
    "bench/hello_world_int8": ((288, 288), (220, 220)),
    "models/mltk__visual_wake_words__459a5c": ((208112, 7489664), (41039, 4152278)),
    "models/tiny__pretrainedResnet_large_int8__dc27dc": (
        (479480, 76473920),
        (433286, 72388544),
    ),
    "models/ML-zoo__har_int8__0ea9fb": ((738560, 829184), (732924, 822840)),
}


@pytest.mark.parametrize("name", OPEN)
def test_open_models(shared: Path, name: str) -> None:
    model = load(shared / f"data/{name}.tflite")
    started = time.perf_counter()
    result = shrunk(model)
    seconds = time.perf_counter() - started
    assert (work(model.graph), work(result.graph)) == OPEN[name]
    assert seconds < 1.0
    for peer in ("tflm", "litert"):
        require(peer)
        for seed in range(4):
            inputs = random_inputs(model.graph, seed)
            wanted, found = (isolated(peer, dumps(m), inputs) for m in (model, result))
            assert [y.tobytes() for y in found] == [y.tobytes() for y in wanted]


@pytest.mark.parametrize(
    "name",
    ["kws_ref_model", "pretrainedResnet_quant", "ad01_int8", "str_ww_ref_model", "person_detect"],
)
def test_models_without_such_channels_are_left_as_they_are(shared: Path, name: str) -> None:
    graph = load(shared / f"data/bench/{name}.tflite").graph
    assert shrink(graph) is graph


def test_vww_on_photographs(shared: Path) -> None:
    """TFLM gives the same bytes for every open photograph."""
    require("tflm")
    model = load(shared / "data/bench/vww_96_int8.tflite")
    result = run_passes(model, [shrink])
    assert work(result.graph) == (30340, 3766476)
    before, after = dumps(model), dumps(result)
    assert len(after) < len(before) / 3
    photographs = np.load(shared / "data/data/vww_open.npz")["x"]
    for photograph in photographs:
        inputs = [(photograph[None].astype(np.int16) - 128).astype(np.int8)]
        wanted, found = isolated("tflm", before, inputs), isolated("tflm", after, inputs)
        assert found[0].tobytes() == wanted[0].tobytes()


def test_no_shrink_keeps_every_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All verbs that emit or plan take the flag."""
    monkeypatch.chdir(tmp_path)
    net = Int8Net((1, 8, 8, 3))
    weights = np.arange(8 * 27).reshape(8, 3, 3, 3) % 17 - 8
    weights[2:6] = 0
    net.conv(8, weights=weights.astype(np.int8))
    net.conv(4)
    net.model().save("idle.tflite")

    def figures(*arguments: str) -> dict[str, Any]:
        assert execute([*arguments, "--json", "-q"]) == 0
        return json.loads(capsys.readouterr().out)

    built = ["build", "idle.tflite", "--target", "cortex-m4", "--samples", "2"]
    assert figures(*built)["macs"] < figures(*built, "--no-shrink")["macs"]
    planned = ["plan", "idle.tflite"]
    assert figures(*planned)["arena_bytes"] < figures(*planned, "--no-shrink")["arena_bytes"]
    split = [*built, "--split", "2"]
    assert figures(*split)["macs"] < figures(*split, "--no-shrink")["macs"]
