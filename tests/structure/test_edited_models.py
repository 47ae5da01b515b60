"""One random edit of an open model is told as one change, of its kind, at its layer."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from pathlib import Path

import numpy as np
from structure.edited import output_of, scaled, with_data, with_node, with_options

import thimble
from thimble.graph import Model
from thimble.structure.changes import model_changes
from thimble.structure.facts import model_facts

EDITS = ("scale", "zero point", "weights", "activation", "padding", "drop")


def without(model: Model, layer: int) -> Model | None:
    """`model` without a layer, whose readers read its first input."""
    graph = model.graph
    node = graph.nodes[layer]
    if len(node.outputs) != 1 or not node.inputs or node.outputs[0] in graph.outputs:
        return None
    source = node.inputs[0]
    if source < 0 or graph.tensors[source].is_constant:
        return None
    nodes = [
        dataclasses.replace(
            other, inputs=tuple(source if t == node.outputs[0] else t for t in other.inputs)
        )
        for i, other in enumerate(graph.nodes)
        if i != layer
    ]
    return model.with_graph(graph.with_(nodes=tuple(nodes)))


def edited(model: Model, layer: int, edit: str) -> tuple[Model | None, str]:
    """The model after an edit of a layer (None where it has nothing to edit) and the kind."""
    graph = model.graph
    node = graph.nodes[layer]
    output = output_of(graph, layer)
    quant = graph.tensors[output].quant
    if edit in ("scale", "zero point"):
        if quant is None or len(quant.scale) != 1:
            return None, ""
        if edit == "scale":
            return scaled(model, output, 1.1), "changed-scale"
        return scaled(model, output, 1.0, move=1), "changed-zero-point"
    if edit == "weights":
        readers = graph.consumers()
        for t in node.inputs:
            data = graph.tensors[t].data if t >= 0 else None
            if data is not None and data.size > 16 and len(readers[t]) == 1:
                changed = data.copy()
                changed.reshape(-1)[3] += 1
                return with_data(model, t, changed), "changed-weights"
    if edit == "activation" and getattr(node.op, "fused_activation_function", "NONE") != "NONE":
        return with_options(model, layer, fused_activation_function="NONE"), "changed-activation"
    if edit == "padding" and hasattr(node.op, "padding"):
        other = "VALID" if node.op.padding == "SAME" else "SAME"
        changed_op = dataclasses.replace(node.op, padding=other)
        return with_node(model, layer, op=changed_op), "changed-padding"
    if edit == "drop":
        return without(model, layer), "removed-layer"
    return None, ""


def test_one_edit_is_told_as_one_change(shared: Path) -> None:
    chance = random.Random(0)
    told: Counter[str] = Counter()
    files = [*shared.glob("data/bench/*.tflite"), *shared.glob("data/tcn/*.tflite")]
    files += sorted(shared.glob("data/models/*.tflite"))[::4]
    for path in sorted(files):
        model = thimble.load(str(path))
        before = model_facts(model)
        for _ in range(6):
            layer = chance.randrange(len(model.graph.nodes))
            if not model.graph.nodes[layer].outputs:
                continue
            new, kind = edited(model, layer, chance.choice(EDITS))
            if new is None:
                continue
            with np.errstate(all="ignore"):
                found = model_changes(before, model_facts(new), 0.01)
            assert [(c.kind, c.base_layer) for c in found] == [(kind, layer)], (path.name, found)
            told[kind] += 1
    assert len(told) == len(EDITS)
