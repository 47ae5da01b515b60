"""What changed from one model to another, matched layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from thimble.structure.facts import GraphFacts, LayerFacts, ModelFacts, TensorFacts, brief
from thimble.structure.kinds import Change
from thimble.structure.layers import Pair, changes_of, tensor_changes
from thimble.structure.match import FAMILIES, RECURRENT, Match, match

SHOWN = 6  # layers named in a change that is told of many at once
ACTIVATIONS = frozenset(FAMILIES[3])
UNROLLED_LAYERS = 6  # new layers that stand for one recurrent layer at the least
DILATED = ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")
SHAPE_ARITHMETIC = frozenset({"SHAPE", "STRIDED_SLICE", "PACK"})


def model_changes(base: ModelFacts, new: ModelFacts, tolerance: float) -> list[Change]:
    """Every change from `base` to `new`; `tolerance`: relative, of scales."""
    found: list[Change] = []
    if len(base.graphs) != len(new.graphs):
        counts = f"{len(base.graphs)} subgraphs became {len(new.graphs)}"
        found.append(Change("changed-subgraphs", "", counts))
    for i, (a, b) in enumerate(zip(base.graphs, new.graphs)):
        for change in graph_changes(a, b, tolerance):
            where = f"subgraph {i}, {change.where}" if i else change.where
            found.append(replace(change, where=where, subgraph=i))
    if base.signatures != new.signatures:
        text = f"{_names(base.signatures)} became {_names(new.signatures)}"
        found.append(Change("changed-signature", "signatures", text))
    found += _converter(base.converter, new.converter)
    return found


def graph_changes(a: GraphFacts, b: GraphFacts, tolerance: float) -> Iterator[Change]:
    """Every change of one subgraph."""
    found = match(a.layers, b.layers)
    yield from _ports("input", a.inputs, b.inputs, tolerance)
    matched = sorted([*found.pairs, *found.moved], key=lambda pair: pair[1])
    fused = _left_behind(b.layers, found.added)
    for i, j in matched:
        for change in changes_of(Pair(a.layers[i], b.layers[j], tolerance)):
            if change.kind == "changed-activation" and j in fused:
                text = f"{change.message}; {fused[j]} is a layer of its own now"
                yield replace(change, message=text)
            else:
                yield change
    yield from _lists(a.layers, b.layers, found)
    yield from _wiring(a, b, found)
    yield from _outputs(a, b, tolerance)
    yield from _together(a, b, matched)


def _left_behind(layers: Sequence[LayerFacts], added: Iterable[int]) -> dict[int, str]:
    """Layer index -> the activation that follows it as a new layer."""
    found = {}
    for j in added:
        reads = layers[j].reads
        if layers[j].op in ACTIVATIONS and reads and reads[0].startswith("layer "):
            found[int(reads[0].split()[1])] = layers[j].op
    return found


def _ports(
    side: str, a: Sequence[TensorFacts], b: Sequence[TensorFacts], tolerance: float
) -> Iterator[Change]:
    kind = f"changed-{side}"
    if len(a) != len(b):
        yield Change(kind, f"{side}s", f"{len(a)} {side}s became {len(b)}")
    for i, (old, new) in enumerate(zip(a, b)):
        where = f"{side} {i} `{brief(new.name)}`"
        if side == "input":  # an output is the output of a layer, which says the same
            for what, message in tensor_changes(side, old, new, tolerance):
                yield Change(what, where, message)
        if old.name != new.name:
            yield Change("changed-name", where, f"was called `{brief(old.name)}`")


def _outputs(a: GraphFacts, b: GraphFacts, tolerance: float) -> Iterator[Change]:
    yield from _ports("output", a.outputs, b.outputs, tolerance)


def _lists(a: Sequence[LayerFacts], b: Sequence[LayerFacts], found: Match) -> Iterator[Change]:
    removed, added = [a[i] for i in found.removed], [b[j] for j in found.added]
    note_removed = note_added = ""
    ops_removed, ops_added = {x.op for x in removed}, {x.op for x in added}
    if ops_removed >= set(DILATED):
        note_removed = ": SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND are no longer around a layer"
    if ops_added >= set(DILATED):
        note_added = ": SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND are around a layer now"
    unrolled = len(added) >= UNROLLED_LAYERS and len(added) > len(removed)
    for layer in removed:
        note = note_removed if layer.op in DILATED else ""
        if layer.op in RECURRENT and unrolled:
            note = f": it was fused, {len(added)} new layers do its steps one by one (unrolled)"
        yield Change("removed-layer", layer.place, f"{layer.op} is gone{note}", None, layer.index)
    for layer in added:
        note = note_added if layer.op in DILATED else ""
        if layer.op in SHAPE_ARITHMETIC and "SHAPE" in ops_added:
            note = ": shapes are computed at run time"
        yield Change("added-layer", layer.place, f"{layer.op} is new{note}", layer.index)
    for i, j in found.moved:
        text = f"{b[j].op} runs as layer {j}, was layer {i}"
        yield Change("moved-layer", b[j].place, text, j, i)


def _wiring(a: GraphFacts, b: GraphFacts, found: Match) -> Iterator[Change]:
    """Inputs that come from elsewhere, but for what added and removed layers explain."""
    became = dict([*found.pairs, *found.moved])
    new = set(found.added)
    for i, j in sorted([*found.pairs, *found.moved], key=lambda pair: pair[1]):
        old_layer, new_layer = a.layers[i], b.layers[j]
        where = new_layer.place
        if len(old_layer.reads) != len(new_layer.reads):
            text = f"{len(old_layer.reads)} inputs became {len(new_layer.reads)}"
            yield Change("changed-wiring", where, text, j, i)
        for k, (old, now) in enumerate(zip(old_layer.reads, new_layer.reads)):
            expected, source = _translated(old, became), _source(now)
            if expected == now or (expected is None and now != "constant"):
                continue
            if source in new and old != "constant":
                continue
            name = b.layers[source].place if source is not None else now
            text = f"input {k} is {_role(now, name)}, was {_role(old, _place(a, old))}"
            yield Change("changed-wiring", where, text, j, i)
    for k, (old, now) in enumerate(zip(a.writers, b.writers)):
        expected = _translated(old, became)
        if expected is not None and expected != now and _source(now) not in new:
            text = f"comes from {now}, came from {_place(a, old)}"
            yield Change("changed-output", f"output {k} `{brief(b.outputs[k].name)}`", text)


def _source(reads: str) -> int | None:
    return int(reads.split()[1]) if reads.startswith("layer ") else None


def _translated(reads: str, became: Mapping[int, int]) -> str | None:
    """`reads` of the base in the layer numbers of the other; None where that layer is gone."""
    source = _source(reads)
    if source is None:
        return reads
    if source not in became:
        return None
    return " ".join(["layer", str(became[source]), *reads.split()[2:]])


def _place(graph: GraphFacts, reads: str) -> str:
    source = _source(reads)
    return reads if source is None else graph.layers[source].place


def _role(reads: str, name: str) -> str:
    if reads == "-":
        return "absent"
    return "a constant" if reads == "constant" else f"from {name}"


def _together(a: GraphFacts, b: GraphFacts, matched: Sequence[tuple[int, int]]) -> Iterator[Change]:
    """Versions, dynamic shapes and names: what changes in many layers at once."""
    versions: dict[tuple[str, int, int], list[int]] = {}
    to_dynamic: list[int] = []
    to_static: list[int] = []
    renamed: list[tuple[LayerFacts, LayerFacts]] = []
    for i, j in matched:
        old, new = a.layers[i], b.layers[j]
        if old.op == new.op and old.version != new.version:
            versions.setdefault((new.op, old.version, new.version), []).append(j)
        was = any(-1 in t.shape for t in old.outputs)
        now = any(-1 in t.shape for t in new.outputs)
        if now and not was:
            to_dynamic.append(j)
        if was and not now:
            to_static.append(j)
        if old.name != new.name:
            renamed.append((old, new))
    for (op, before, after), layers in versions.items():
        text = f"{op} version {before} -> {after}"
        yield Change("changed-version", _layers(layers), text, layers[0])
    yield from _dynamic(a, b, to_dynamic, to_static)
    if renamed:
        first = ", ".join(f"`{brief(x.name)}` -> `{brief(y.name)}`" for x, y in renamed[:2])
        more = f" and {len(renamed) - 2} more" if len(renamed) > 2 else ""
        where = _layers([y.index for _, y in renamed])
        yield Change("changed-name", where, f"renamed: {first}{more}", renamed[0][1].index)


def _dynamic(
    a: GraphFacts, b: GraphFacts, to_dynamic: Sequence[int], to_static: Sequence[int]
) -> Iterator[Change]:
    inputs = [
        (old, new) for old, new in zip(a.inputs, b.inputs) if (-1 in old.shape) != (-1 in new.shape)
    ]
    for layers, says, is_dynamic in (
        (to_dynamic, "static became dynamic", True),
        (to_static, "dynamic became static", False),
    ):
        ports = [(x, y) for x, y in inputs if (-1 in y.shape) == is_dynamic]
        if not layers and not ports:
            continue
        shapes = [f"input `{brief(y.name)}` {_shape(x)} -> {_shape(y)}" for x, y in ports]
        if layers and not shapes:
            shapes = [_shape(b.layers[layers[0]].outputs[0])]
        where = _layers(layers) if layers else "inputs"
        first = layers[0] if layers else None
        yield Change("changed-dynamic", where, f"{says}: {', '.join(shapes)}", first)


def _shape(tensor: TensorFacts) -> str:
    return str([size if size >= 0 else "?" for size in tensor.shape]).replace("'", "")


def _layers(indices: Sequence[int]) -> str:
    shown = ", ".join(str(i) for i in indices[:SHOWN])
    more = f" and {len(indices) - SHOWN} more" if len(indices) > SHOWN else ""
    return f"layer{'s' if len(indices) > 1 else ''} {shown}{more}"


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _converter(old: Mapping[str, str | int], new: Mapping[str, str | int]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            text = f"{name} {old.get(name, 'not said')} -> {new.get(name, 'not said')}"
            yield Change("changed-converter", "metadata", text)
