"""Why two runs of a model differ: layers matched, errors told apart, and rules that name causes.

`evidence` has the numbers of every layer, `rules_*` one list of rules each; docs/explain.md is
generated from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from thimble.explain.causes import Rule, find_causes
from thimble.explain.evidence import Evidence
from thimble.explain.rules_file import FILE_RULES
from thimble.report import Cause

if TYPE_CHECKING:
    from thimble.runners import Runner

RULES: tuple[Rule, ...] = (*FILE_RULES,)

Inputs = tuple[Sequence[np.ndarray], Sequence[np.ndarray]]


def explain_evidence(
    evidence: Evidence, runners: tuple[Runner, Runner], inputs: Sequence[Inputs]
) -> list[Cause]:
    """The causes of what `evidence` shows, best first; empty where both agree.

    `runners` are run again on `inputs` to see whether they repeat themselves.
    """
    return find_causes(evidence, RULES)
