"""Drop the tensors that nothing refers to, and number the others anew.

    tensors a, b (unused), c    ->    tensors a, c

Passes only append tensors, so that indices stay valid from pass to pass; this is done once after
them.
"""

from __future__ import annotations

from dataclasses import replace

from thimble.graph import Graph, Model, Signature


def _used(graph: Graph, signatures: list[Signature]) -> set[int]:
    used = {*graph.inputs, *graph.outputs}
    for node in graph.nodes:
        used.update(node.inputs, node.outputs, node.intermediates)
    for signature in signatures:
        used.update(signature.inputs.values(), signature.outputs.values())
    # Blockwise quantization names the tensors of its scales by index inside `details`, which is
    # opaque.
    if any(t.quant is not None and t.quant.details is not None for t in graph.tensors):
        used.update(range(len(graph.tensors)))
    return used


def _renumber(graph: Graph, new: dict[int, int]) -> Graph:
    nodes = tuple(
        replace(
            node,
            inputs=tuple(new[t] for t in node.inputs),
            outputs=tuple(new[t] for t in node.outputs),
            intermediates=tuple(new[t] for t in node.intermediates),
        )
        for node in graph.nodes
    )
    return graph.with_(
        tensors=tuple(graph.tensors[t] for t in new if t >= 0),
        nodes=nodes,
        inputs=tuple(new[t] for t in graph.inputs),
        outputs=tuple(new[t] for t in graph.outputs),
    )


def compact(model: Model) -> Model:
    """`model` without unused tensors; signatures follow the new numbers."""
    graphs = []
    signatures = list(model.signatures)
    for index, graph in enumerate(model.graphs):
        mine = [s for s in model.signatures if s.subgraph == index]
        used = _used(graph, mine)
        if len(used - {-1}) == len(graph.tensors):
            graphs.append(graph)
            continue
        new = {-1: -1, **{old: k for k, old in enumerate(sorted(used - {-1}))}}
        graphs.append(_renumber(graph, new))
        signatures = [
            replace(
                s,
                inputs={name: new[t] for name, t in s.inputs.items()},
                outputs={name: new[t] for name, t in s.outputs.items()},
            )
            if s.subgraph == index
            else s
            for s in signatures
        ]
    return replace(model, graphs=tuple(graphs), signatures=tuple(signatures))
