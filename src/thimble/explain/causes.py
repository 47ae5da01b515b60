"""Causes and the rules that find them: a name, a sentence, a hint, and a function over evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from thimble.explain.evidence import Evidence, Layer
from thimble.report import Cause

LEAST_SCORE = 0.2  # causes below it come behind those of later layers
INPUT_INDEX = -1  # the index of a cause that lies before the first layer

# What kind of proof a cause has; causes are ranked by it, the first kind first.
SHOWN = "shown"  # the difference shows in this layer's numbers, and the cause makes it
ROUNDING = "rounding"  # it shows, and is a matter of rounding alone
SILENT = "silent"  # the files differ, but not in the numbers of these samples
SUSPECT = "suspect"  # a property of one file that explains differences, not proved here
PROOFS = (SHOWN, ROUNDING, SILENT, SUSPECT)


@dataclass(frozen=True)
class Found:
    """One place where a rule holds. `score` in [0, 1]: the share of the difference explained."""

    layer: Layer | None  # None: the inputs
    message: str
    score: float = 1.0
    proof: str = SHOWN
    evidence: str = ""
    node: int | None = None  # B's node, where it is not the last of the layer
    tensor: str | None = None  # or the tensor of B whose layer it is


@dataclass(frozen=True)
class Rule:
    """`sentence` says what is wrong, `hint` what to do, `repair` names a repair that does it."""

    name: str
    sentence: str
    hint: str
    find: Callable[[Evidence], Iterator[Found]]
    repair: str | None = None


def find_causes(evidence: Evidence, rules: tuple[Rule, ...]) -> list[Cause]:
    """What each rule finds, the best proved first, then in the order of the layers."""
    causes = []
    for rule in rules:
        for found in rule.find(evidence):
            index, op, name = _place(evidence, found)
            causes.append(
                Cause(
                    rule.name,
                    index,
                    op,
                    name,
                    found.message,
                    rule.hint,
                    found.evidence,
                    round(found.score, 3),
                    found.proof,
                    rule.repair,
                )
            )
    return sorted(causes, key=_rank)


def _rank(cause: Cause) -> tuple[int, bool, int, float]:
    return (PROOFS.index(cause.proof), cause.score < LEAST_SCORE, cause.index, -cause.score)


def _place(evidence: Evidence, found: Found) -> tuple[int, str, str]:
    graph = evidence.b.graph
    if found.tensor is not None and found.tensor in evidence.rows:
        return evidence.rows[found.tensor]
    if found.node is not None:
        node = graph.nodes[found.node]
        for t in node.outputs:
            if t >= 0 and graph.tensors[t].name in evidence.rows:
                return evidence.rows[graph.tensors[t].name]
    if found.layer is not None:
        layer = found.layer
        return evidence.rows.get(layer.tensor_b.name, (layer.index, layer.op, layer.name))
    return INPUT_INDEX, "INPUT", graph.tensors[graph.inputs[0]].name if graph.inputs else ""
