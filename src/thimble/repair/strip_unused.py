"""What inference does not need: layers without readers, tensors, buffers, subgraphs.

x -> A -> y (output), x -> B -> z; tensor t; subgraph 3    ->    x -> A -> y
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from thimble.graph import Graph, Model, Node
from thimble.invariants import called_graphs
from thimble.ops.contract import OpaqueOp
from thimble.passes.compact import compact
from thimble.passes.dead_code import dead_code
from thimble.repair.contract import Place, Repair, on_graphs


def _reached(model: Model) -> list[int]:
    """The subgraphs that can run: the main one, those of signatures, and what they call."""
    found = list(dict.fromkeys([0, *(s.subgraph for s in model.signatures)]))
    for g in found:  # grows while it is walked
        for node in model.graphs[g].nodes:
            found += [callee for callee in called_graphs(node) if callee not in found]
    return sorted(found)


def _renumbered(node: Node, new: dict[int, int]) -> Node:
    if not called_graphs(node) or not isinstance(node.op, OpaqueOp):
        return node
    fields: dict[str, Any] = dict(node.op.fields)
    for name, value in fields.items():
        if name.endswith("subgraph_index") or (name == "subgraph" and isinstance(value, int)):
            fields[name] = new[value]
        elif name in ("branch_subgraph_indices", "called_computations"):
            fields[name] = [new[g] for g in value]
    return replace(node, op=replace(node.op, fields=fields))


def strip_unused(model: Model) -> Model:
    """The same model without what no output depends on."""
    live = on_graphs(dead_code)(model)
    reached = _reached(live)
    if len(reached) < len(live.graphs):
        new = {old: k for k, old in enumerate(reached)}

        def kept(graph: Graph) -> Graph:
            return graph.with_(nodes=tuple(_renumbered(node, new) for node in graph.nodes))

        live = replace(
            live,
            graphs=tuple(kept(live.graphs[g]) for g in reached),
            signatures=tuple(replace(s, subgraph=new[s.subgraph]) for s in live.signatures),
        )
    if live is model and not _unused(model):
        return model
    return replace(live)  # its tensors keep their numbers until the file is written


def _unused(model: Model) -> int:
    """Tensors that no layer, input, output or signature refers to."""
    small = compact(model)
    return sum(len(old.tensors) - len(new.tensors) for old, new in zip(model.graphs, small.graphs))


def _where(before: Model, after: Model) -> list[Place]:
    """The layers; how many subgraphs and tensors."""
    live = on_graphs(dead_code)(before)
    gone: list[Place] = []
    for g, (old, new) in enumerate(zip(before.graphs, live.graphs)):
        kept = {id(node) for node in new.nodes}
        gone += [(g, node) for node in old.nodes if id(node) not in kept]
    graphs, tensors = len(before.graphs) - len(after.graphs), _unused(live)
    for count, what in ((graphs, "subgraph"), (tensors, "tensor")):
        if count:
            gone.append(f"{count} {what}{'s' * (count > 1)}")
    return gone


REPAIR = Repair(
    "strip-unused",
    "The file carries layers, tensors, buffers or subgraphs that no output depends on: they go.",
    strip_unused,
    where=_where,
)
