"""Every kind of change is named once, at its layer, and nothing else is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from models import ModelBuilder, op
from structure.edited import (
    CONV,
    DENSE,
    DEPTHWISE,
    POOL,
    RESHAPE,
    SOFTMAX,
    flipped,
    output_of,
    scaled,
    tiny,
    weights,
    with_layer_between,
    with_node,
    with_options,
    with_tensor,
)

import thimble
from thimble.graph import Model, Node, Quant, Tensor
from thimble.structure.changes import model_changes
from thimble.structure.facts import model_facts

Edit = Callable[[Model], Model]


def without_activation(model: Model) -> Model:
    """The RELU of the convolution as a layer of its own."""
    graph = model.graph
    old = output_of(graph, CONV)
    new = len(graph.tensors)
    tensor = dataclasses.replace(graph.tensors[old], name="relu")
    nodes = list(graph.nodes)
    nodes[CONV] = dataclasses.replace(
        nodes[CONV], op=dataclasses.replace(nodes[CONV].op, fused_activation_function="NONE")
    )
    nodes[DEPTHWISE] = dataclasses.replace(
        nodes[DEPTHWISE], inputs=(new, *nodes[DEPTHWISE].inputs[1:])
    )
    nodes.insert(DEPTHWISE, Node(op("RELU"), (old,), (new,)))
    return model.with_graph(graph.with_(nodes=tuple(nodes), tensors=(*graph.tensors, tensor)))


def int16_dense(model: Model) -> Model:
    return with_tensor(model, output_of(model.graph, DENSE), dtype="int16")


def per_tensor(model: Model) -> Model:
    return with_tensor(model, weights(model, CONV), quant=Quant.per_tensor(0.01))


EDITS: dict[str, tuple[Edit, list[tuple[str, int | None, str]]]] = {
    "scale": (
        lambda m: scaled(m, output_of(m.graph, DENSE), 1.1),
        [("changed-scale", DENSE, "output scale 0.2 -> 0.22 (+10 %)")],
    ),
    "one channel's scale": (
        lambda m: scaled(m, weights(m, DEPTHWISE), 1.5, 2),
        [("changed-scale", DEPTHWISE, "weights scales of 1 of 4 channels, most in channel 2")],
    ),
    "zero point": (
        lambda m: scaled(m, output_of(m.graph, DEPTHWISE), 1.0, move=1),
        [("changed-zero-point", DEPTHWISE, "output zero point 5 -> 6")],
    ),
    "weights": (
        flipped,
        [("changed-weights", DENSE, "weights: 1 of 48 elements differ, by up to")],
    ),
    "padding": (
        lambda m: with_options(m, CONV, padding="VALID"),
        [("changed-padding", CONV, "padding SAME -> VALID")],
    ),
    "stride": (
        lambda m: with_options(m, DEPTHWISE, stride_w=1),
        [("changed-stride", DEPTHWISE, "stride_w 2 -> 1")],
    ),
    "dilation": (
        lambda m: with_options(m, CONV, dilation_h_factor=2),
        [("changed-dilation", CONV, "dilation_h_factor 1 -> 2")],
    ),
    "activation": (
        lambda m: with_options(m, CONV, fused_activation_function="RELU6"),
        [("changed-activation", CONV, "fused_activation_function RELU -> RELU6")],
    ),
    "beta": (
        lambda m: with_options(m, SOFTMAX, beta=2.0),
        [("changed-option", SOFTMAX, "beta 1.0 -> 2.0")],
    ),
    "version": (
        lambda m: with_node(m, CONV, version=5),
        [("changed-version", CONV, "CONV_2D version 3 -> 5")],
    ),
    "op": (
        lambda m: with_node(
            m,
            POOL,
            op=op(
                "MAX_POOL_2D",
                "Pool2DOptions",
                padding="VALID",
                stride_h=2,
                stride_w=2,
                filter_height=2,
                filter_width=2,
            ),
        ),
        [("changed-op", POOL, "AVERAGE_POOL_2D became MAX_POOL_2D")],
    ),
    "dtype": (int16_dense, [("changed-dtype", DENSE, "output int8 -> int16")]),
    "granularity": (
        per_tensor,
        [("changed-quantization", CONV, "weights 4 scales on axis 0 -> per tensor")],
    ),
    "a layer more": (with_layer_between, [("added-layer", RESHAPE, "RELU is new")]),
    "an activation apart": (
        without_activation,
        [
            ("changed-activation", CONV, "RELU -> NONE; RELU is a layer of its own now"),
            ("added-layer", DEPTHWISE, "RELU is new"),
        ],
    ),
    "the name of a layer": (
        lambda m: with_tensor(m, output_of(m.graph, CONV), name="another"),
        [("changed-name", CONV, "renamed: `conv_2d_0` -> `another`")],
    ),
    "dynamic": (
        lambda m: with_tensor(m, m.graph.inputs[0], shape_signature=(-1, 8, 8, 1)),
        [
            (
                "changed-dynamic",
                None,
                "static became dynamic: input `x` [1, 8, 8, 1] -> [?, 8, 8, 1]",
            )
        ],
    ),
    "the wire of a layer": (
        lambda m: with_node(
            m, RESHAPE, inputs=(output_of(m.graph, CONV), m.graph.nodes[RESHAPE].inputs[1])
        ),
        [
            (
                "changed-wiring",
                RESHAPE,
                "input 0 is from layer 0 CONV_2D `conv_2d_0`, was from layer 2",
            )
        ],
    ),
    "signature": (
        lambda m: dataclasses.replace(m, signatures=()),
        [("changed-signature", None, "`serve` became none")],
    ),
    "description": (
        lambda m: dataclasses.replace(m, description="made by hand"),
        [("changed-converter", None, "description not said -> made by hand")],
    ),
    "subgraphs": (
        lambda m: dataclasses.replace(m, graphs=(*m.graphs, m.graph)),
        [("changed-subgraphs", None, "1 subgraphs became 2")],
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_one_edit_is_one_change(name: str) -> None:
    edit, expected = EDITS[name]
    base = tiny()
    found = model_changes(model_facts(base), model_facts(edit(base)), 0.01)
    assert [(c.kind, c.layer) for c in found] == [(kind, layer) for kind, layer, _ in expected]
    for change, (_, _, text) in zip(found, expected):
        assert text in change.message


def test_nothing_changed() -> None:
    assert model_changes(model_facts(tiny()), model_facts(tiny()), 0.0) == []


def test_scales_within_the_tolerance_did_not_move() -> None:
    base = tiny()
    moved = model_facts(scaled(base, output_of(base.graph, DENSE), 1.005))
    assert model_changes(model_facts(base), moved, 0.01) == []
    assert len(model_changes(model_facts(base), moved, 0.001)) == 1


def test_a_removed_layer_is_named_with_its_place_in_the_base() -> None:
    base = with_layer_between(tiny())
    [change] = model_changes(model_facts(base), model_facts(tiny()), 0.01)
    assert (change.kind, change.layer, change.base_layer) == ("removed-layer", None, RESHAPE)
    assert "RELU is gone" in change.message


def branches(order: str) -> Model:
    """x -> TANH, x -> LOGISTIC, in that or the other order, joined."""
    b = ModelBuilder()
    x = b.input("x", (1, 4), "float32")
    made = {
        name: b.op(op(name), [x], [((1, 4), "float32")], names=[name]) for name in order.split()
    }
    y = b.op(op("CONCATENATION", "ConcatenationOptions", axis=1), [made["TANH"], made["LOGISTIC"]])
    return b.build([y])


def test_layers_that_run_in_another_order_have_moved() -> None:
    base, new = branches("TANH LOGISTIC"), branches("LOGISTIC TANH")
    [change] = model_changes(model_facts(base), model_facts(new), 0.01)
    assert change.kind == "moved-layer"
    report = thimble.check(new, like=base)
    assert report.same_function is True
    assert report.errors == 0


def recurrent(kind: str) -> Model:
    """A fused LSTM, a WHILE in its place, or a row of layers."""
    b = ModelBuilder()
    x = b.input("x", (1, 5, 4), "float32")
    if kind == "fused":
        y = b.op(op("UNIDIRECTIONAL_SEQUENCE_LSTM"), [x], [((1, 5, 3), "float32")], names=["lstm"])
    elif kind == "while":
        y = b.op(op("WHILE"), [x], [((1, 5, 3), "float32")], names=["lstm/while"])
    else:
        y = x
        for i in range(8):
            y = b.op(op("TANH"), [y], [((1, 5, 3 + i % 2), "float32")], names=[f"step{i}"])
    return b.build([b.op(op("LOGISTIC"), [y], [((1, 5, 3), "float32")])])


def test_fused_became_while_or_unrolled() -> None:
    base = model_facts(recurrent("fused"))
    [loop] = [
        c
        for c in model_changes(base, model_facts(recurrent("while")), 0.01)
        if c.kind != "changed-name"
    ]
    assert loop.kind == "changed-op"
    assert "UNIDIRECTIONAL_SEQUENCE_LSTM became WHILE: a fused layer became a loop" in loop.message
    gone = [
        c.message
        for c in model_changes(base, model_facts(recurrent("steps")), 0.01)
        if c.kind == "removed-layer"
    ]
    assert gone == [
        "UNIDIRECTIONAL_SEQUENCE_LSTM is gone: it was fused, 8 new layers do its steps one by one"
        " (unrolled)"
    ]


def test_other_constants_are_another_function_even_where_samples_agree() -> None:
    report = thimble.check(flipped(tiny()), like=tiny())
    assert report.same_function is False
    assert "other constants or scales" in report.function


def test_names_from_a_file_cannot_break_a_line() -> None:
    base = tiny()
    odd = with_tensor(base, output_of(base.graph, CONV), name="a\nb\x1b[31m" + "c" * 5000)
    report = thimble.check(odd, like=base, rules={"changed-name": "error"})
    assert all(f["message"].isprintable() and f["where"].isprintable() for f in report.findings)
    assert all(len(f["message"]) <= 1000 for f in report.findings)


def test_tensor_facts_tell_scalars_from_empty() -> None:
    tensor = Tensor("t", (), "int32", data=np.array(3, np.int32))
    facts = model_facts(Model((tiny().graph.with_(tensors=(*tiny().graph.tensors, tensor)),)))
    assert facts.graphs[0].layers == model_facts(tiny()).graphs[0].layers
