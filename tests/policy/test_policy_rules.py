"""Every rule holds for a good model and finds the one edit that breaks it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import ModelBuilder, op
from structure.edited import (
    CONV,
    POOL,
    RESHAPE,
    SOFTMAX,
    output_of,
    scaled,
    tiny,
    with_node,
    with_tensor,
)

import thimble
from thimble.formats.tflite import dumps
from thimble.graph import Model, Node, Tensor
from thimble.ops.contract import OpaqueOp
from thimble.policy.contract import Settings, Subject
from thimble.policy.quantization import float_islands
from thimble.policy.registry import BEGIN, END, GROUPS, RULES, markdown, with_rules
from thimble.structure.kinds import KINDS

ROOT = Path(__file__).parents[2]


def with_extra(model: Model, *tensors: Tensor) -> Model:
    graph = model.graph
    return model.with_graph(graph.with_(tensors=(*graph.tensors, *tensors)))


def weights(model: Model, layer: int, index: int = 1) -> int:
    return model.graph.nodes[layer].inputs[index]


def float_net() -> Model:
    b = ModelBuilder()
    x = b.input("x", (1, 4), "float32")
    return b.build([b.op(op("TANH"), [x])])


def island() -> Model:
    """int8 -> DEQUANTIZE -> TANH, EXP -> QUANTIZE -> int8."""
    b = ModelBuilder()
    x = b.input("x", (1, 4), "int8", 0.1)
    y = b.op(op("DEQUANTIZE"), [x], [((1, 4), "float32")])
    y = b.op(op("TANH"), [y])
    y = b.op(op("EXP"), [y])
    y = b.op(op("QUANTIZE"), [y], [((1, 4), "int8", 0.1)])
    return b.build([y])


def hybrid() -> Model:
    b = ModelBuilder()
    x = b.input("x", (1, 4), "float32")
    w = b.const("w", np.ones((2, 4), np.int8), scale=0.1)
    y = b.op(op("FULLY_CONNECTED", "FullyConnectedOptions"), [x, w], [((1, 2), "float32")])
    return b.build([y])


def per_channel_dequantize() -> Model:
    b = ModelBuilder()
    x = b.input("x", (1, 4), "float32")
    w = b.const("w", np.ones((2, 4), np.int8), scale=[0.1, 0.2])
    w = b.op(op("DEQUANTIZE"), [w], [((2, 4), "float32")])
    y = b.op(op("FULLY_CONNECTED", "FullyConnectedOptions"), [x, w], [((1, 2), "float32")])
    return b.build([y])


def int16_net(zero_point: int) -> Model:
    b = ModelBuilder()
    x = b.input("x", (1, 4), "int16", 0.1, zero_point)
    return b.build([b.op(op("TANH"), [x], [((1, 4), "int16", 1 / 32768)])])


def dynamic_space_to_batch() -> Model:
    b = ModelBuilder()
    x = b.input("x", (1, 4, 4, 1), "float32")
    block = b.const("block", np.array([2, 2], np.int32))
    pads = b.const("pads", np.zeros((2, 2), np.int32))
    y = b.op(op("SPACE_TO_BATCH_ND"), [x, block, pads], [((4, 2, 2, 1), "float32")])
    model = b.build([y])
    for t in (x, y):
        shape = model.graph.tensors[t].shape
        model = with_tensor(model, t, shape_signature=(-1, *shape[1:]))
    return model


def dead_layer(model: Model) -> Model:
    graph = model.graph
    tensor = dataclasses.replace(graph.tensors[output_of(graph, CONV)], name="dead")
    node = Node(op("RELU"), (output_of(graph, CONV),), (len(graph.tensors),))
    return model.with_graph(
        graph.with_(tensors=(*graph.tensors, tensor), nodes=(*graph.nodes, node))
    )


def twice(model: Model) -> Model:
    """The weights of the fully connected layer, stored a second time and read by a new layer."""
    graph = model.graph
    data = np.arange(64, dtype=np.float32)
    first = Tensor("one", (64,), "float32", data=data)
    second = Tensor("two", (64,), "float32", data=data.copy())
    return model.with_graph(graph.with_(tensors=(*graph.tensors, first, second)))


def int64_shape(model: Model) -> Model:
    return with_tensor(
        model, weights(model, RESHAPE), dtype="int64", data=np.array([1, 16], np.int64)
    )


def custom(model: Model) -> Model:
    return with_node(model, POOL, op=OpaqueOp(op_name="MyPool", is_custom=True, builtin_code=32))


def control_flow() -> Model:
    b = ModelBuilder()
    x = b.input("x", (1,), "bool")
    table = {"then_subgraph_index": 1, "else_subgraph_index": 1}
    y = b.op(op("IF", "IfOptions", **table), [x], [((1,), "bool")])
    main = b.build([y])
    inner = ModelBuilder()
    z = inner.input("z", (1,), "bool")
    other = inner.build([inner.op(op("LOGICAL_NOT"), [z])])
    return dataclasses.replace(main, graphs=(*main.graphs, *other.graphs))


def float64() -> Model:
    b = ModelBuilder()
    x = b.input("x", (1,), "float64")
    return b.build([b.op(op("NEG"), [x], [((1,), "float64")])])


Break = Callable[[], tuple[Model, dict[str, Any]]]
PORT = {"name": "x", "dtype": "int8", "shape": [1, 8, 8, 1], "scale": 0.05, "zero_point": 3}

# rule -> (a model and policy that break it, where, what is said)
BROKEN: dict[str, tuple[Break, str, str]] = {
    "supported-ops": (lambda: (custom(tiny()), {}), "layer 2 MyPool", "no kernel"),
    "tflm-ops": (
        lambda: (custom(tiny()), {"runtime": "tflm"}),
        "layer 2 MyPool",
        "TFLM has no custom op MyPool",
    ),
    "allowed-ops": (
        lambda: (tiny(), {"ops": {"denied": ["SOFTMAX"]}}),
        "layer 5 SOFTMAX",
        "SOFTMAX is denied",
    ),
    "op-versions": (
        lambda: (tiny(), {"ops": {"versions": {"CONV_2D": 2}}}),
        "layer 0 CONV_2D",
        "version 3 is over 2",
    ),
    "no-custom-ops": (lambda: (custom(tiny()), {}), "layer 2 MyPool", "is a custom op"),
    "no-control-flow": (lambda: (control_flow(), {}), "layer 0 IF", "calls subgraph 1, 1"),
    "fully-integer": (lambda: (float_net(), {}), "tensor 0 `x`", "is float32"),
    "float-islands": (lambda: (island(), {}), "layer 1 TANH", "layers 1 TANH, 2 EXP compute"),
    "hybrid-layers": (lambda: (hybrid(), {}), "layer 0 FULLY_CONNECTED", "weights int8 with float"),
    "symmetric-weights": (
        lambda: (scaled(tiny(), weights(tiny(), CONV), 1, 1, move=4), {}),
        "layer 0 CONV_2D",
        "have zero point 4",
    ),
    "bias-scale": (
        lambda: (scaled(tiny(), weights(tiny(), CONV, 2), 1.5, 2), {}),
        "layer 0 CONV_2D",
        "50 % apart in channel 2",
    ),
    "sane-scales": (
        lambda: (scaled(tiny(), output_of(tiny().graph, CONV), 0), {}),
        "tensor 3 `conv_2d_0`",
        "scale 0 is zero",
    ),
    "equal-scales": (
        lambda: (scaled(tiny(), output_of(tiny().graph, POOL), 1.1), {}),
        "layer 2 AVERAGE_POOL_2D",
        "input 0 has scale 0.08, zero point 5, the output scale 0.088",
    ),
    "fixed-scales": (
        lambda: (scaled(tiny(), output_of(tiny().graph, SOFTMAX), 1.1), {}),
        "layer 5 SOFTMAX",
        "where the kernels use 0.00390625 and -128",
    ),
    "int16-zero-points": (lambda: (int16_net(7), {}), "tensor 0 `x`", "has zero point 7"),
    "one-scale-activations": (
        lambda: (per_channel_dequantize(), {}),
        "layer 0 DEQUANTIZE",
        "reads 2 scales",
    ),
    "dynamic-shapes": (
        lambda: (with_tensor(tiny(), 0, shape_signature=(-1, 8, 8, 1)), {}),
        "tensor 0 `x`",
        "[?, 8, 8, 1]",
    ),
    "dynamic-space-to-batch": (
        lambda: (dynamic_space_to_batch(), {}),
        "layer 0 SPACE_TO_BATCH_ND",
        "dynamic batch",
    ),
    "unused-tensors": (
        lambda: (with_extra(tiny(), Tensor("left", (4,), "int8", data=np.zeros(4, np.int8))), {}),
        "`left`",
        "a constant of 4 bytes",
    ),
    "dead-layers": (lambda: (dead_layer(tiny()), {}), "layer 6 RELU `dead`", "nothing reads"),
    "duplicate-constants": (lambda: (twice(tiny()), {}), "`two`", "256 bytes are those of tensor"),
    "int64": (lambda: (int64_shape(tiny()), {}), "`shape`", "whose values fit int32"),
    "float64": (lambda: (float64(), {}), "tensor 0 `x`", "is float64"),
    "ram-budget": (lambda: (tiny(), {"budgets": {"ram": 100}}), "", "the arena in bytes is"),
    "flash-budget": (lambda: (tiny(), {"budgets": {"flash": 10}}), "", "the constants in bytes is"),
    "macs-budget": (lambda: (tiny(), {"budgets": {"macs": 9}}), "", "MACs of one inference is"),
    "layers-budget": (
        lambda: (tiny(), {"budgets": {"layers": 5}}),
        "",
        "layers is 6, 1 (20 %) over 5",
    ),
    "inputs": (
        lambda: (tiny(), {"inputs": [PORT | {"zero_point": 4}]}),
        "input 0 `x`",
        "has zero point 3, not 4",
    ),
    "outputs": (
        lambda: (tiny(), {"outputs": [{"dtype": "float32", "shape": [1, 4]}]}),
        "output 0",
        "is int8, not float32",
    ),
}
NEED_A_FILE = {"unused-buffers", "file-budget"}


def test_every_rule_is_broken_here() -> None:
    assert set(BROKEN) | NEED_A_FILE == set(RULES)


@pytest.mark.parametrize("rule", BROKEN)
def test_a_rule_finds_its_violation(rule: str) -> None:
    make, where, message = BROKEN[rule]
    model, policy = make()
    report = thimble.check(model, policy=policy, rules={rule: "error"})
    found = [f for f in report.findings if f["rule"] == rule]
    assert found, report.findings
    assert where in found[0]["where"]
    assert message in found[0]["message"]
    assert found[0]["severity"] == "error"
    assert report.errors
    assert not thimble.check(model, policy=policy, rules={rule: "off"}).findings or all(
        f["rule"] != rule for f in thimble.check(model, policy=policy, rules={rule: "off"}).findings
    )


def test_a_good_model_keeps_every_rule() -> None:
    policy = {
        "runtime": "both",
        "budgets": {"ram": "4k", "flash": "4k", "macs": 100_000, "layers": 6},
        "ops": {"denied": ["WHILE"], "versions": {"CONV_2D": 3}},
        "inputs": [PORT],
        "outputs": [{"dtype": "int8", "shape": [1, 3], "zero_point": -128}],
    }
    everything = dict.fromkeys(RULES, "error")
    assert thimble.check(tiny(), policy=policy, rules=everything).findings == []


def test_what_only_a_file_has(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(dumps(tiny()))
    small = {"budgets": {"file": 1000}}
    [finding] = thimble.check(str(path), policy=small).findings
    assert finding["rule"] == "file-budget"
    with_buffer = dataclasses.replace(tiny(), extra={"metadata_buffers": (b"something",)})
    path.write_bytes(dumps(with_buffer))
    assert thimble.check(str(path)).findings == []  # the list of metadata buffers refers to it
    assert list(RULES["unused-buffers"].violations(Subject(tiny()), Settings())) == []


def test_unused_buffers_of_real_files(shared: Path) -> None:
    path = shared / "data" / "bench" / "dtln_noise_suppression.tflite"
    found = [f for f in thimble.check(str(path)).findings if f["rule"] == "unused-buffers"]
    assert [f["message"].split(";")[0] for f in found][:1] == ["nothing refers to its 128 bytes"]


def test_a_bias_of_zero_has_any_scale() -> None:
    model = tiny()
    t = weights(model, CONV, 2)
    data = model.graph.tensors[t].data
    assert data is not None
    model = with_tensor(model, t, data=np.where(np.arange(4) == 2, 0, data).astype(np.int32))
    assert thimble.check(scaled(model, t, 1.5, 2)).findings == []


def test_float_at_the_ends_is_no_island() -> None:
    b = ModelBuilder()
    x = b.input("x", (1, 4), "float32")
    y = b.op(op("TANH"), [x])
    y = b.op(op("QUANTIZE"), [y], [((1, 4), "int8", 0.1)])
    y = b.op(op("DEQUANTIZE"), [y], [((1, 4), "float32")])
    assert float_islands(b.build([b.op(op("EXP"), [y])]).graph) == []
    assert float_islands(island().graph) == [[1, 2]]


def test_bias_sums_of_int16_layers_are_int64(shared: Path) -> None:
    report = thimble.check(str(shared / "data" / "tcn" / "tcn_b1_int16x8.tflite"))
    assert "int64" not in {f["rule"] for f in report.findings}


def test_names_are_told_apart_and_documented() -> None:
    assert not set(RULES) & set(KINDS)
    assert sum(len(group) for group in GROUPS.values()) == len(RULES)
    table = markdown()
    for name in [*RULES, *KINDS]:
        assert f"| `{name}` |" in table


def test_the_rules_in_the_docs_are_fresh() -> None:
    text = (ROOT / "docs" / "check.md").read_text()
    assert text == with_rules(text), "run `thimble check --write-rules docs/check.md`"
    assert text.count(BEGIN) == text.count(END) == 1
