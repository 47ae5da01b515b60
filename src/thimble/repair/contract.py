"""What a repair is: a name, what it mends, how exact it is, and a rewrite of the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from thimble.graph import Graph, Model, Node
from thimble.invariants import called_graphs

EXACT = "exact"

# Where a repair acted: a node of a subgraph of the model before it, or words.
Place = tuple[int, Node] | str


@dataclass(frozen=True)
class Repair:
    """A named rewrite.

    mends: one sentence, what is wrong and what it becomes. bound: "exact", or how far values may
    move, as a sentence; `bound_lsb` is the same for integer outputs of the model. rewrite: the
    model after it, and the very same object where there is nothing to do; it only appends tensors,
    so that what changed can be told (`changed_layers`), unless `where` says where it acted.
    by_name: runs only when it is asked for, because it is a matter of taste or has a price.
    """

    name: str
    mends: str
    rewrite: Callable[[Model], Model]
    bound: str = EXACT
    bound_lsb: float = 0.0
    by_name: bool = False
    where: Callable[[Model, Model], Sequence[Place]] | None = None

    @property
    def is_exact(self) -> bool:
        return self.bound == EXACT


def on_graphs(rewrite: Callable[[Graph], Graph]) -> Callable[[Model], Model]:
    """A rewrite of models that applies one of graphs to each subgraph."""

    def rewritten(model: Model) -> Model:
        graphs = tuple(rewrite(graph) for graph in model.graphs)
        if all(new is old for new, old in zip(graphs, model.graphs)):
            return model
        return replace(model, graphs=graphs)

    return rewritten


def on_entries(rewrite: Callable[[Graph], Graph]) -> Callable[[Model], Model]:
    """The same for the graphs that a caller gives inputs of known shape: no bodies of loops."""

    def rewritten(model: Model) -> Model:
        called = {g for graph in model.graphs for node in graph.nodes for g in called_graphs(node)}
        graphs = tuple(
            graph if i in called else rewrite(graph) for i, graph in enumerate(model.graphs)
        )
        if all(new is old for new, old in zip(graphs, model.graphs)):
            return model
        return replace(model, graphs=graphs)

    return rewritten


def changed_layers(before: Model, after: Model) -> list[tuple[int, Node]]:
    """(subgraph, node) of `before` that `after` no longer has, or not with these shapes."""
    found = []
    for g, (old, new) in enumerate(zip(before.graphs, after.graphs)):
        kept = {id(node) for node in new.nodes}
        for node in old.nodes:
            touched = [t for t in (*node.inputs, *node.outputs) if t >= 0]
            if id(node) not in kept or any(
                new.tensors[t].shape != old.tensors[t].shape for t in touched
            ):
                found.append((g, node))
    return found
