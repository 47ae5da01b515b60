"""Op versions no higher than the layers need, so that old runtimes take the file.

    CONV_2D version 5 (plain int8)                        ->  CONV_2D version 3
    CONV_2D version 6 (groups of one channel), for 2.4    ->  DEPTHWISE_CONV_2D version 3

A runtime refuses a file for a version that it does not know, whatever the layer does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from thimble.errors import Finding, UnsupportedModel
from thimble.graph import Graph, Model, Node
from thimble.ops.contract import NodeView
from thimble.passes.convolution_form import as_depthwise, change_forms
from thimble.passes.match import has_kernel
from thimble.quantize.versions import TABLES, float_version, version
from thimble.repair.contract import Repair
from thimble.repair.runtimes import Release, needed, release

_METADATA = "min_runtime_version"
_METADATA_BYTES = 16
_WHOLE_NUMBERS = ("int32", "int64", "bool")


def _lowest(graph: Graph, index: int) -> int:
    """The version that the node needs; its own where that is not known for sure."""
    node = graph.nodes[index]
    if not has_kernel(graph, node):
        return node.version
    n = NodeView(graph, index)
    tensors = [t for t in (*n.inputs, *n.outputs) if t is not None]
    if any(t.extra or (t.quant is not None and t.quant.details is not None) for t in tensors):
        return node.version
    dtypes = {t.dtype for t in tensors} - set(_WHOLE_NUMBERS)
    if dtypes == {"float32"}:
        return min(node.version, float_version(n))
    for dtype, table in TABLES.items():
        # Weights of int16 activations are int8, biases whole numbers.
        if dtype in dtypes and dtypes <= {dtype, "int8"} and n.node.op.name in table:
            if n.y().dtype != dtype or n.x().dtype != dtype:
                return node.version
            return min(node.version, version(n, dtype))
    return node.version


def down_level(graph: Graph) -> Graph:
    """The same graph with the lowest versions."""
    nodes = tuple(
        node if (lowest := _lowest(graph, i)) == node.version else replace(node, version=lowest)
        for i, node in enumerate(graph.nodes)
    )
    if all(new is old for new, old in zip(nodes, graph.nodes)):
        return graph
    return graph.with_(nodes=nodes)


def _least_runtime(model: Model) -> Release:
    """The first release that takes the model, as far as that is known."""
    found = [needed(n.op.name, n.version) for g in model.graphs for n in g.nodes]
    return max((r for r in found if r is not None), default=(1, 5))


def _with_metadata(model: Model, before: Model) -> Model:
    """The model whose metadata names the runtime it needs, where it named one."""
    if _METADATA not in model.metadata or model is before:
        return model
    text = "{}.{}.0".format(*_least_runtime(model)).encode()
    content = text.ljust(_METADATA_BYTES, b"\0")
    return replace(model, metadata={**model.metadata, _METADATA: content})


def _lowered(model: Model) -> Model:
    graphs = tuple(down_level(graph) for graph in model.graphs)
    if all(new is old for new, old in zip(graphs, model.graphs)):
        return model
    return _with_metadata(replace(model, graphs=graphs), model)


def _newer(node: Node, runtime: Release) -> bool:
    least = needed(node.op.name, node.version)
    return least is not None and least > runtime


def _rewritten(runtime: str) -> Callable[[Model], Model]:
    """The model for one runtime. Raises UnsupportedModel naming every layer that is too new."""
    wanted = release(runtime)

    def rewrite(model: Model) -> Model:
        low = _lowered(model)
        graphs = tuple(
            change_forms(graph, {"CONV_2D": as_depthwise})
            if any(n.op.name == "CONV_2D" and _newer(n, wanted) for n in graph.nodes)
            else graph
            for graph in low.graphs
        )
        changed = any(new is not old for new, old in zip(graphs, low.graphs))
        made = _with_metadata(replace(low, graphs=graphs), model) if changed else low
        findings = [
            Finding(
                "too-new",
                f"{model.source}, {graph.layer(i)}",
                f"version {node.version} needs TensorFlow {'.'.join(map(str, least))}",
                "train or convert without it, or update the runtime",
            )
            for graph in made.graphs
            for i, node in enumerate(graph.nodes)
            if (least := needed(node.op.name, node.version)) is not None and least > wanted
        ]
        if findings:
            raise UnsupportedModel(findings)
        return made

    return rewrite


REPAIR = Repair(
    "down-level",
    "Op versions higher than the layers need make old runtimes refuse the file: they are lowered."
    " With `--for 2.4` also groups of one channel become DEPTHWISE_CONV_2D where that release lacks"
    " groups, and what stays too new is reported.",
    _lowered,
    by_name=True,
)


def for_runtime(runtime: str) -> Repair:
    """The same repair for a TensorFlow release, "2.4.0". Raises BadInput."""
    return replace(REPAIR, rewrite=_rewritten(runtime))
