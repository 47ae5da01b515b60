"""Each rule finds what breaks it, says where, and leaves a sound graph alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from models import ModelBuilder, op, quantization

from thimble.graph import Graph, Model, Node, Quant, Signature, Tensor
from thimble.invariants import MAX_FINDINGS_PER_RULE, MODEL_RULES, RULES, check_graph, check_model
from thimble.ops.contract import OpaqueOp

MORE_SCALES = Quant(np.ones(3, np.float32), np.zeros(3, np.int64), 1)


def sound() -> Graph:
    """x, w -> ADD a -> RELU b, state read by ADD b -> c."""
    b = ModelBuilder()
    x = b.input("x", (2, 3), "int8", 0.5, -1)
    w = b.const("w", np.ones((2, 3), np.int8), scale=[0.1, 0.2], axis=0)
    state = b.variable("state", (2, 3), "int8", 0.5)
    first = b.op(op("ADD"), [x, w], [((2, 3), "int8", 0.5, 128 - 1)], names=["a"])
    second = b.op(op("RELU"), [first], [((2, 3), "int8", 0.5)], names=["b"])
    third = b.op(op("ADD"), [second, state], [((2, 3), "int8", 0.5)], names=["c"])
    return b.graph([third])


def with_tensor(index: int, **changes) -> Graph:
    graph = sound()
    tensors = list(graph.tensors)
    tensors[index] = dataclasses.replace(tensors[index], **changes)
    return graph.with_(tensors=tuple(tensors))


def with_node(index: int, **changes) -> Graph:
    graph = sound()
    nodes = list(graph.nodes)
    nodes[index] = dataclasses.replace(nodes[index], **changes)
    return graph.with_(nodes=tuple(nodes))


def swapped() -> Graph:
    graph = sound()
    return graph.with_(nodes=(graph.nodes[1], graph.nodes[0], graph.nodes[2]))


# (rule, broken graph, what the message names)
BROKEN = [
    ("index-range", sound().with_(inputs=(0, 99)), "graph inputs"),
    ("index-range", sound().with_(outputs=(5, -1)), "graph outputs"),
    ("index-range", with_node(1, inputs=(-2,)), "layer 1 RELU `b`"),
    ("index-range", with_node(1, outputs=(77,)), "layer 1 RELU"),
    ("index-range", with_node(1, intermediates=(6,)), "tensor 6 of 6"),
    ("shape", with_tensor(0, shape=(2, -3)), "tensor 0 `x`"),
    ("shape", with_tensor(0, shape=(1,) * 33), "33 dimensions"),
    ("shape", with_tensor(0, shape=(1 << 31, 1 << 31)), "tensor 0 `x`"),
    ("shape", with_tensor(0, shape=(0, 1 << 31, 1 << 31, 1 << 31)), "tensor 0 `x`"),
    ("shape-signature", with_tensor(0, shape_signature=(-1,)), "tensor 0 `x`"),
    ("shape-signature", with_tensor(0, shape_signature=(-1, 4)), "tensor 0 `x`"),
    ("data-size", with_tensor(1, data=np.ones((3, 2), np.int8)), "tensor 1 `w`"),
    ("data-size", with_tensor(1, data=np.ones((2, 3), np.uint8)), "uint8 [2, 3]"),
    ("data-size", with_tensor(1, dtype="int4", data=np.ones(4, np.uint8)), "takes 3 bytes"),
    ("scale", with_tensor(0, quant=quantization(np.nan)), "nan"),
    ("scale", with_tensor(0, quant=quantization(np.inf)), "inf"),
    ("scale", with_tensor(0, quant=quantization([0.1, -0.5])), "-0.5"),
    ("quant-length", with_tensor(0, quant=Quant(np.ones(2), np.zeros(1), 0)), "2 scales and 1"),
    ("quant-length", with_tensor(0, quant=dataclasses.replace(MORE_SCALES, axis=0)), "axis 0"),
    ("quant-length", with_tensor(0, quant=dataclasses.replace(MORE_SCALES, axis=2)), "axis 2"),
    ("quant-length", with_tensor(0, quant=dataclasses.replace(MORE_SCALES, axis=-1)), "axis -1"),
    ("zero-point", with_tensor(0, quant=quantization(0.1, 128)), "int8 with zero point 128"),
    ("zero-point", with_tensor(0, dtype="uint8", quant=quantization(0.1, -1)), "zero point -1"),
    ("single-writer", with_node(2, outputs=(3,)), "given by layer 0 ADD `a`"),
    ("single-writer", with_node(1, outputs=(0,)), "the caller, as a graph input"),
    ("single-writer", with_node(1, outputs=(1,)), "the file, as a constant"),
    ("single-writer", sound().with_(inputs=(0, 0)), "graph inputs"),
    ("single-writer", sound().with_(inputs=(0, 1)), "graph inputs"),
    ("order", swapped(), "which layer 1 ADD `a` has yet to write"),
    ("order", sound().with_(inputs=()), "which nothing writes"),
    ("order", with_node(1, inputs=(4,)), "has yet to write"),
    ("order", sound().with_(nodes=()), "`c` is never written"),
]


def test_a_sound_graph_has_no_findings():
    assert check_graph(sound()) == []
    assert check_graph(with_tensor(1, quant=dataclasses.replace(MORE_SCALES, axis=1))) == []
    assert check_graph(with_tensor(0, shape_signature=(-1, 3))) == []
    assert check_graph(with_tensor(0, quant=quantization(0.0))) == []


@pytest.mark.parametrize(("rule", "graph", "named"), BROKEN)
def test_each_rule_finds_what_breaks_it(rule, graph, named):
    findings = check_graph(graph, "model.tflite")
    texts = [str(f) for f in findings if f.rule == rule]
    assert any(named in text for text in texts), [str(f) for f in findings]
    assert all(f.where.startswith("model.tflite") and f.hint for f in findings)


def test_every_rule_has_a_case():
    assert {rule.name for rule in RULES} == {rule for rule, _, _ in BROKEN}
    assert {rule.name for rule in MODEL_RULES} == {rule for rule, _, _ in BROKEN_MODELS}


def calling(*targets: int) -> Graph:
    """A graph whose WHILE ops call the given subgraphs."""
    tensor = Tensor("t", (1,), "float32")
    nodes = tuple(
        Node(
            OpaqueOp("WHILE", "WhileOptions", {"cond_subgraph_index": t, "body_subgraph_index": t}),
            (0,),
            (),
        )
        for t in targets
    )
    return Graph("g", (tensor,), nodes, (0,), (0,))


BROKEN_MODELS = [
    ("no-subgraph", Model(()), ""),
    ("signature", Model((sound(),), signatures=(Signature("s", {}, {}, 1),)), "subgraph 1 of 1"),
    ("signature", Model((sound(),), signatures=(Signature("s", {"i": 6}, {}),)), "`i` to tensor 6"),
    ("signature", Model((sound(),), signatures=(Signature("s", {}, {"o": -1}),)), "tensor -1"),
    ("calls", Model((calling(7),)), "calls subgraph 7 of 1"),
    ("calls", Model((calling(0),)), "calls itself"),
    ("calls", Model((calling(1), calling(2), calling(1))), "1 -> 2 -> 1"),
]


@pytest.mark.parametrize(("rule", "model", "named"), BROKEN_MODELS)
def test_each_model_rule_finds_what_breaks_it(rule, model, named):
    findings = check_model(model)
    assert any(f.rule == rule and named in str(f) for f in findings), findings


def test_subgraphs_that_share_a_callee_are_sound():
    assert check_model(Model((calling(1, 2), calling(2), calling()))) == []


def test_findings_name_the_subgraph_and_are_few():
    tensors = tuple(Tensor(f"t{i}", (-1,), "int8") for i in range(1000))
    model = Model((sound(), Graph("g", tensors, (), (), ())), source="m.tflite")
    findings = check_model(model)
    assert len(findings) == MAX_FINDINGS_PER_RULE
    assert findings[0].where == "m.tflite, subgraph 1, tensor 0 `t0`"


def test_names_cannot_drive_a_terminal():
    name = "\x1b[2J" + "long" * 1000
    (finding,) = check_graph(sound().with_(tensors=(*sound().tensors, Tensor(name, (-1,), "int8"))))
    assert "\x1b" not in str(finding)
    assert len(str(finding)) < 500
