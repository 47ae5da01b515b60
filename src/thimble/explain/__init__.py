"""Why two runs of a model differ: layers matched, errors told apart, and rules that name causes.

`evidence` has the numbers of every layer, `rules_*` one list of rules each; docs/explain.md is
generated from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from thimble.explain.causes import SHOWN, Found, Rule, find_causes
from thimble.explain.evidence import Evidence
from thimble.explain.rules_file import FILE_RULES
from thimble.explain.rules_input import INPUT_RULES
from thimble.explain.rules_quant import QUANT_RULES
from thimble.explain.rules_runner import RUNNER_RULES, SHARED_RULES, runner_found
from thimble.report import Cause

if TYPE_CHECKING:
    from thimble.runners import Runner

RULES: tuple[Rule, ...] = (*INPUT_RULES, *FILE_RULES, *QUANT_RULES, *RUNNER_RULES)

Inputs = tuple[Sequence[np.ndarray], Sequence[np.ndarray]]


def explain_evidence(
    evidence: Evidence, runners: tuple[Runner, Runner], inputs: Sequence[Inputs]
) -> list[Cause]:
    """The causes of what `evidence` shows, best first; empty where both agree.

    `runners` are run once more on the first of `inputs`, to see whether they repeat themselves.
    """
    evidence.repeats = [
        found
        for k, side in enumerate("ab")
        if inputs and (found := _repeats(evidence, side, runners[k], inputs[0][k])) is not None
    ]
    shared = [
        replace(rule, find=runner_found(rule.name)) for rule in RULES if rule.name in SHARED_RULES
    ]
    return find_causes(evidence, (*RULES, *shared))


def _repeats(
    evidence: Evidence, side: str, runner: Runner, inputs: Sequence[np.ndarray]
) -> Found | None:
    """The first tensor that differs when the first sample is run again; None where none does."""
    functions = evidence.a if side == "a" else evidence.b
    if any("VARIABLE" in node.op.name or "LSTM" in node.op.name for node in functions.graph.nodes):
        return None
    again = evidence.values(side, inputs, runner.trace(inputs))
    before = (evidence.values_a if side == "a" else evidence.values_b)[0]
    for layer in evidence.layers:
        tensor = layer.tensor_a if side == "a" else layer.tensor_b
        t = functions.names[tensor.name]
        if t not in again or t not in before:
            continue
        x, y = np.asarray(before[t]), np.asarray(again[t])
        if x.shape != y.shape or x.tobytes() != y.tobytes():
            who = f"{side.upper()} ({evidence.runners[side == 'b']})"
            changed = int(np.count_nonzero(x != y)) if x.shape == y.shape else x.size
            return Found(
                layer,
                f"{who} gives other values when the same input is run again: the memory is stale"
                " or was never written",
                1.0,
                SHOWN,
                f"{changed} of {x.size} elements differ between the two runs",
            )
    return None
