"""What a runner did with a layer that its own file does not explain: tried one guess at a time.

Each guess computes the layer as it would come out wrong (another requantization, padding, a
dropped activation, the memory of the run before ...). The first that gives the runner's very
numbers names the cause; what none reproduces is described by how the numbers moved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np

from thimble.explain.evidence import REFERENCE
from thimble.explain.functions import Functions
from thimble.explain.hypotheses import variants
from thimble.explain.relation import relate
from thimble.explain.rounding import REQUANTIZATIONS, recognised
from thimble.explain.suspicion import Suspect
from thimble.graph import Graph, Quant

Array = np.ndarray

SMALL_LSB = 2.0  # a rounding moves a value by no more
FLOAT_ROUNDING = 1e-3  # of the largest magnitude: what another order of additions may make


Verdict = tuple[str, str]  # rule, message
Guess = Callable[[Suspect], Verdict | None]


def judge(suspect: Suspect) -> Verdict:
    """The rule and message of the first guess that holds."""
    for guess in GUESSES:
        verdict = guess(suspect)
        if verdict is not None:
            return verdict
    raise AssertionError("the last guess always holds")


def _not_finite(suspect: Suspect) -> Verdict | None:
    bad = sum(int((np.isfinite(x) & ~np.isfinite(y)).sum()) for x, y in suspect.arrays())
    if not bad:
        return None
    return "output-not-finite", f"{suspect.who()} has {bad} values that are NaN or infinite"


def _stale(suspect: Suspect) -> Verdict | None:
    """The tensor holds what it held in the run before, or what another tensor holds."""
    arrays = suspect.arrays()
    if suspect.step and suspect.gap <= SMALL_LSB * suspect.step:
        return None
    for (before, _), (wanted, found) in pairwise(arrays):
        moved = wanted != found
        if np.count_nonzero(moved) > 1 and np.ptp(found[moved]) and _most(found == before, moved):
            return "stale-buffer", f"{suspect.who()} keeps values of the run before in this tensor"
    for values, found in suspect.raw():
        flat = found.reshape(-1)
        if flat.size <= 4 or not np.ptp(flat.astype(np.float64)):
            continue
        for t, other in values.items():
            if t == suspect.tensor or (t in _read(suspect) and _is_copy(suspect)):
                continue
            if np.array_equal(np.asarray(other).reshape(-1), flat):
                name = suspect.functions.graph.tensors[t].name
                return "stale-buffer", f"{suspect.who()} has the values of `{name}` in this tensor"
    return None


def _read(suspect: Suspect) -> set[int]:
    return {t for i in suspect.nodes for t in suspect.functions.graph.nodes[i].inputs}


def _is_copy(suspect: Suspect) -> bool:
    return suspect.op in ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "QUANTIZE")


def _most(mask: Array, where: Array) -> bool:
    return bool(mask[where].mean() > 0.95)


def _per_channel_dequantize(suspect: Suspect) -> Verdict | None:
    given = suspect.given.graph
    made = {given.tensors[n.outputs[0]].name: n for n in given.nodes if n.op.name == "DEQUANTIZE"}
    graph = suspect.functions.graph
    for i in suspect.nodes:
        node = graph.nodes[i]
        for name in (graph.tensors[t].name for t in (*node.inputs, *node.outputs) if t >= 0):
            x = given.tensors[made[name].inputs[0]] if name in made else None
            if x is None or x.quant is None or not x.quant.is_per_channel or x.data is None:
                continue
            single = (x.data.astype(np.float64) - x.quant.zero_point[0]) * x.quant.scale[0]
            shown = [v[suspect.functions.names[name]] for v, _ in suspect.raw()
                     if suspect.functions.names[name] in v]  # fmt: skip
            if not shown or np.allclose(shown[0].reshape(-1), single.reshape(-1), rtol=1e-5):
                return (
                    "per-channel-dequantize",
                    f"{suspect.who()} dequantizes `{x.name}` with one scale,"
                    f" the file has {len(x.quant.scale)}",
                )
    return None


def _dynamic_batch(suspect: Suspect) -> Verdict | None:
    names = {suspect.functions.graph.nodes[i].op.name for i in suspect.nodes}
    blocks = names & {"SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"}
    graph = suspect.functions.graph
    given = suspect.given.graph
    declared = {t.name: t for t in given.tensors}
    stale = [
        graph.tensors[t].name
        for i in suspect.nodes
        for t in graph.nodes[i].outputs
        if (t_given := declared.get(graph.tensors[t].name)) is not None
        and (-1 in (t_given.shape_signature or t_given.shape))
        and tuple(t_given.shape) != tuple(graph.tensors[t].shape)
    ]
    if not blocks or not stale:
        return None
    return (
        "dynamic-batch",
        f"the batch is dynamic: {suspect.who()} takes the shape that the file declares for"
        f" `{stale[0]}`, which {min(blocks)} changes",
    )


def _block_padding(suspect: Suspect) -> Verdict | None:
    graph = suspect.functions.graph
    for i in suspect.nodes:
        node = graph.nodes[i]
        if node.op.name != "SPACE_TO_BATCH_ND":
            continue
        x = graph.tensors[node.inputs[0]]
        if x.quant is None or len(x.quant.zero_point) != 1 or not x.quant.zero_point[0]:
            continue
        zero = Quant(x.quant.scale, np.zeros_like(x.quant.zero_point))
        tensors = list(graph.tensors)
        for t in (node.inputs[0], *node.outputs):
            tensors[t] = replace(tensors[t], quant=zero)
        if _reproduces(suspect, graph.with_(tensors=tuple(tensors)), raw=True):
            return (
                "space-to-batch-padding",
                f"{suspect.who()} pads with 0 instead of the zero point {x.zero_point}",
            )
    return None


def _reproduces(suspect: Suspect, graph: Graph, raw: bool = False) -> bool:
    """Whether the layer in `graph` gives the runner's numbers for all samples."""
    functions = Functions(suspect.functions.model.with_graph(graph))
    seen = False
    for values, found in suspect.raw():
        try:
            made = functions.tensor(suspect.tensor, values, {})
        except (ValueError, IndexError, AssertionError, TypeError):
            return False
        if made is None or made.size != found.size:
            return False
        x, y = made.reshape(-1).astype(np.float64), found.reshape(-1).astype(np.float64)
        slack = 0.0 if suspect.step else 1e-5 * float(np.abs(y).max(initial=0.0))
        if not float(np.abs(x - y).max(initial=0.0)) <= slack:  # NaN is no match
            return False
        seen = True
    return seen


def _options(suspect: Suspect) -> Verdict | None:
    """Another option, operand order or constant makes the runner's numbers."""
    graph = suspect.functions.graph
    for i in reversed(suspect.nodes):
        for rule, message, changed in variants(graph, i):
            if _reproduces(suspect, changed):
                return rule, f"{suspect.who()} computes as if {message}"
    return None


def _hybrid(suspect: Suspect) -> Verdict | None:
    given = suspect.given.graph
    names = {suspect.functions.graph.layer_name(i) for i in suspect.nodes}
    for i, node in enumerate(given.nodes):
        if given.layer_name(i) not in names or len(node.inputs) < 2 or node.inputs[1] < 0:
            continue
        x, w = given.tensors[node.inputs[0]], given.tensors[node.inputs[1]]
        if x.dtype == "float32" and w.dtype in ("int8", "int4") and w.data is not None:
            return (
                "hybrid-activations",
                f"{suspect.who()} rounds the float activations of this hybrid layer to int8",
            )
    return None


def _rounding(suspect: Suspect) -> Verdict | None:
    if not suspect.step or suspect.gap > SMALL_LSB * suspect.step * 1.001:
        return None
    name = None
    if len(suspect.nodes) == 1:
        name = recognised(suspect.functions, suspect.nodes[0], suspect.raw())
    how = f"bit for bit: {REQUANTIZATIONS[name][0]}" if name else "by a rounding of its own"
    rules = {"xnnpack": "xnnpack-rounding", "single": "single-rounding", "half-up": "ruy-rounding"}
    rule = rules.get(name or "", "")
    if not rule and suspect.runner == "litert":
        rule = "xnnpack-rounding"
    elif not rule and suspect.runner == "litert-nodelegate":
        rule = "ruy-rounding"
    elif name in ("floor", "truncated"):
        rule = "truncated"
    lsb = f"{suspect.gap / suspect.step:.3g} LSB"
    innocent = _other_side(suspect)
    return rule or "rounding", (
        f"{suspect.who()} rounds otherwise than the reference ({how}),"
        f" which introduces up to {lsb} in this layer{innocent}"
    )


def _other_side(suspect: Suspect) -> str:
    other = "b" if suspect.side == "a" else "a"
    name = suspect.counterpart()
    if name is None or suspect.evidence.is_runner_at_fault(other, name):
        return ""
    runner = suspect.evidence.runners[other == "b"]
    if runner == REFERENCE:
        return ""
    return f"; {other.upper()} ({runner}) equals the reference here"


def _float_order(suspect: Suspect) -> Verdict | None:
    if suspect.step or suspect.gap > FLOAT_ROUNDING * suspect.own.magnitude:
        return None
    return (
        "float-order",
        f"{suspect.who()} adds floats in another order, or has another libm:"
        f" {suspect.gap:.3g} of {suspect.own.magnitude:.3g}",
    )


OUTPUT_RULES = {
    "zeroed": "output-zeroed",
    "not-finite": "output-not-finite",
    "permuted": "output-permuted",
    "clipped": "saturation",
    "rows": "output-channel",
    "scaled": "output-scaled",
    "affine": "output-scaled",
    "offset": "output-scaled",
    "scaled-channels": "output-scaled",
    "negated": "output-scaled",
    "transposed": "output-permuted",
    "mirrored": "output-permuted",
    "shifted": "output-permuted",
    "permuted-inputs": "output-permuted",
    "shuffled": "output-permuted",
}


def _moved(suspect: Suspect) -> Verdict | None:
    arrays = suspect.arrays()
    if not arrays:
        return None
    wanted = np.stack([x for x, _ in arrays])
    found = np.stack([y for _, y in arrays])
    slack = suspect.step / 2 if suspect.step else FLOAT_ROUNDING * 0.01 * suspect.own.magnitude
    relation = relate(wanted, found, wanted.ndim - 1, slack)
    if relation is None:
        return None
    rule = OUTPUT_RULES.get(relation.kind, "runner")
    if rule == "runner" and _at_the_border(wanted, found, slack):
        return "padding", f"{suspect.who()} differs at the borders only, as with another padding"
    return rule, f"{suspect.who()}, its output against the reference's: {relation.detail}"


def _at_the_border(wanted: Array, found: Array, slack: float) -> bool:
    """Whether images [samples, N, H, W, C] differ in the outer rows and columns alone."""
    if wanted.ndim != 5 or min(wanted.shape[2:4]) < 5:
        return False
    inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    return bool((np.abs(wanted - found)[inside] <= slack).all())


def _anything(suspect: Suspect) -> Verdict | None:
    return "runner", f"{suspect.who()} computes this layer otherwise than the reference kernels"


GUESSES: tuple[Guess, ...] = (
    _not_finite,
    _per_channel_dequantize,
    _block_padding,
    _dynamic_batch,
    _hybrid,
    _rounding,
    _float_order,
    _stale,
    _options,
    _moved,
    _anything,
)
