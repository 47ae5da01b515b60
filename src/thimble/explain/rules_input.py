"""Rules about what the two sides were fed, and about layers that could not be judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from thimble.explain.causes import SUSPECT, Found, Rule
from thimble.explain.evidence import Evidence
from thimble.explain.relation import Relation, relate

SIGN = 128.0  # the difference of int8 and uint8


def _relation(evidence: Evidence) -> tuple[int, Relation, float] | None:
    """(input, what was done to it, its step) of the first input that differs."""
    if not evidence.has_own_inputs:
        return None
    if evidence.input_relation is None:
        evidence.input_relation = _relate(evidence) or ()
    return evidence.input_relation or None


def _relate(evidence: Evidence) -> tuple[int, Relation, float] | None:
    from thimble.explain.values import quantization

    for k in range(min((len(a) for a, _ in evidence.fed), default=0)):
        xs = np.stack([a[k] for a, _ in evidence.fed])
        ys = np.stack([b[k].reshape(a[k].shape) for a, b in evidence.fed])
        graph_a, graph_b = evidence.a.graph, evidence.b.graph
        step_a = quantization(graph_a.tensors[graph_a.inputs[k]])[0]
        step_b = quantization(graph_b.tensors[graph_b.inputs[k]])[0]
        relation = relate(xs, ys, xs.ndim - 1, (step_a + step_b) / 2)
        if relation is not None:
            return k, relation, step_b
    return None


def _find(
    which: Callable[[Relation, float, tuple[int, ...]], bool],
) -> Callable[[Evidence], Iterator[Found]]:
    def find(evidence: Evidence) -> Iterator[Found]:
        found = _relation(evidence)
        if found is None:
            return
        k, relation, step = found
        graph = evidence.b.graph
        tensor = graph.tensors[graph.inputs[k]]
        if which(relation, step, tensor.shape):
            text = f"B's input `{tensor.name}` against A's: {relation.detail}"
            yield Found(None, text, 1.0)

    return find


ARITHMETIC = ("ADD", "SUB", "MUL", "DIV")


def _scaled_inside(evidence: Evidence) -> Iterator[Found]:
    """A layer that only one file has, and that scales or offsets the input of the model."""
    for layer in evidence.layers:
        for edit in layer.edits:
            only_b = edit.part == "added"
            k = edit.node_b if only_b else edit.node_a if edit.part == "lacking" else None
            if k is None or edit.name not in ARITHMETIC or not layer.is_file_at_fault():
                continue
            graph = (evidence.b if only_b else evidence.a).graph
            node = graph.nodes[k]
            constants = [t for t in node.inputs if t >= 0 and graph.tensors[t].data is not None]
            if constants and any(t in graph.inputs for t in node.inputs):
                values = np.asarray(graph.tensors[constants[0]].data).reshape(-1)[:3].tolist()
                text = f"{edit.name} with {values} is done to the input in {'AB'[only_b]} alone"
                yield Found(layer, text, 1.0, node=edit.node_b)


def _preprocessing(evidence: Evidence) -> Iterator[Found]:
    yield from _find(_scaled)(evidence)
    yield from _scaled_inside(evidence)


def _is_sign(relation: Relation, step: float) -> bool:
    if relation.kind != "offset" or not step:
        return False
    amount = abs(float(relation.detail.rsplit(" ", 1)[-1])) / step
    return abs(amount - SIGN) < 1.5


def _scaled(relation: Relation, step: float, shape: tuple[int, ...]) -> bool:
    kinds = ("scaled", "offset", "affine", "scaled-channels")
    return relation.kind in kinds and not _is_sign(relation, step)


def _channels(relation: Relation, step: float, shape: tuple[int, ...]) -> bool:
    return relation.kind == "permuted"


def _layout(relation: Relation, step: float, shape: tuple[int, ...]) -> bool:
    kinds = ("permuted-inputs", "transposed", "mirrored", "shifted", "shuffled")
    return relation.kind in kinds


def _clipped(relation: Relation, step: float, shape: tuple[int, ...]) -> bool:
    return relation.kind in ("clipped", "coarse")


def _others(relation: Relation, step: float, shape: tuple[int, ...]) -> bool:
    known = (_scaled, _channels, _layout, _clipped)
    return not _is_sign(relation, step) and not any(f(relation, step, shape) for f in known)


def _unsupported(evidence: Evidence) -> Iterator[Found]:
    for layer in evidence.layers:
        missing = [evidence.b.missing(j) for j in layer.nodes_b]
        said = next((m for m in missing if m), "")
        differs = any(x.a.size == x.b.size and not np.array_equal(x.a, x.b) for x in layer.samples)
        if said and differs:
            yield Found(layer, f"no reference kernel computes this layer: {said}", 0.5, SUSPECT)


_SAME = "preprocess the data of both sides alike (mean, standard deviation, range, dtype)"

INPUT_RULES = (
    Rule("preprocessing", "the inputs are scaled or offset against each other", _SAME,
         _preprocessing),
    Rule("signedness", "the inputs differ by 128 steps: int8 was taken for uint8",
         "subtract 128 from pixels for an int8 input", _find(lambda r, s, _: _is_sign(r, s))),
    Rule("channel-order", "the channels of the inputs are in another order",
         "look for RGB against BGR", _find(_channels)),
    Rule("input-layout", "the inputs are transposed, mirrored or shifted against each other",
         "look for NCHW against NHWC, rows against columns", _find(_layout)),
    Rule("input-clipped", "one side's inputs are clipped or rounded", _SAME, _find(_clipped)),
    Rule("inputs-differ", "the two sides were not fed the same data", _SAME, _find(_others)),
    Rule("unsupported", "a layer has no reference kernel, so it cannot be judged",
         "see `thimble ops`; compare it with a peer that has it", _unsupported),
)  # fmt: skip
