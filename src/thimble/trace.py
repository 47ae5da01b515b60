"""What a run of a model leaves: its outputs and the tensors in between, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# (index, op, name, names of the tensors it computed)
TraceLayer = tuple[int, str, str, tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class Trace:
    """Named tensors of one inference, in the order in which they were computed.

    `meta` holds what else the runner measured (instructions, seconds, ...), by field name of the
    reports.
    """

    outputs: Mapping[str, np.ndarray]
    tensors: Mapping[str, np.ndarray]
    layers: tuple[TraceLayer, ...]
    runner: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> np.ndarray:
        """The tensor or output called `name`. Raises KeyError naming the known ones."""
        if name in self.tensors:
            return self.tensors[name]
        if name in self.outputs:
            return self.outputs[name]
        known = ", ".join([*self.tensors, *(n for n in self.outputs if n not in self.tensors)])
        raise KeyError(f"no tensor `{name}` in this trace; it has: {known}")

    def __contains__(self, name: object) -> bool:
        return name in self.tensors or name in self.outputs
