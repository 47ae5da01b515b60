"""A tensor in which a runner departs from the reference kernels: what is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thimble.explain.evidence import Evidence, Own
from thimble.explain.functions import Functions
from thimble.explain.values import quantization
from thimble.graph import Model

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Suspect:
    """A tensor in which a runner departs from the reference."""

    evidence: Evidence
    own: Own

    @property
    def side(self) -> str:
        return self.own.side

    @property
    def functions(self) -> Functions:
        return self.evidence.a if self.side == "a" else self.evidence.b

    @property
    def given(self) -> Model:
        """The model as its file has it."""
        return self.evidence.source_a if self.side == "a" else self.evidence.source_b

    @property
    def runner(self) -> str:
        return self.evidence.runners[self.side == "b"]

    @property
    def nodes(self) -> list[int]:
        return self.own.nodes

    @property
    def tensor(self) -> int:
        return self.own.index

    @property
    def op(self) -> str:
        return self.functions.graph.nodes[self.nodes[-1]].op.name

    @property
    def gap(self) -> float:
        return self.own.gap

    @property
    def step(self) -> float:
        return quantization(self.own.tensor)[0]

    def arrays(self) -> list[tuple[Array, Array]]:
        """(what the reference makes, what the runner made) of each sample, real values."""
        both = zip(self.own.wanted, self.own.found)
        return [(x, y) for x, y in both if x.size == y.size]

    def counterpart(self) -> str | None:
        """The name of the other side's tensor that is this one; None where there is none."""
        match = self.evidence.match
        if self.side == "b":
            s = match.get(self.tensor)
            return None if s is None else self.evidence.a.graph.tensors[s].name
        return next(
            (self.evidence.b.graph.tensors[t].name for t, s in match.items() if s == self.tensor),
            None,
        )

    def raw(self) -> list[tuple[dict[int, Array], Array]]:
        """(every tensor of the runner, this tensor) of each sample, as stored."""
        kept = self.evidence.values_a if self.side == "a" else self.evidence.values_b
        return [
            (values, np.asarray(values[self.tensor])) for values in kept if self.tensor in values
        ]

    def figures(self) -> str:
        """How far the runner is from the reference."""
        arrays = self.arrays()
        if not arrays:
            return "the runner's tensor has another size than the layer makes"
        count = sum(x.size for x, _ in arrays)
        moved = sum(int(np.count_nonzero(x != y)) for x, y in arrays)
        lsb = f"{self.gap / self.step:.3g} LSB" if self.step else f"{self.gap:.4g}"
        share = f"{100 * moved / max(count, 1):.3g} % of its elements"
        return f"up to {lsb} from the reference kernels on its own inputs, in {share}"

    def who(self) -> str:
        """B (tflm), as messages call the side."""
        return f"{self.side.upper()} ({self.runner})"


def suspects(evidence: Evidence) -> Iterator[Suspect]:
    """The tensors in which a runner departs from the reference, B's and A's."""
    for side in ("b", "a"):
        for own in evidence.own[side].values():
            if own.is_at_fault() and own.nodes:
                yield Suspect(evidence, own)
