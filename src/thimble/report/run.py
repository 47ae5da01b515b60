"""The outputs of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from thimble.report.base import Report, columns, facts

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class RunReport(Report):
    """`outputs`: name -> values [samples, ...]; `sha256`: name -> hash of the values' bytes."""

    outputs: Mapping[str, Any]
    sha256: Mapping[str, str]
    model: str = ""
    runner: str = ""
    samples: int = 0
    dtypes: Mapping[str, str] = field(default_factory=dict)
    tensors: Mapping[str, Any] = field(default_factory=dict)  # with --trace
    meta: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)

    def render(self) -> Sequence[RenderableType]:
        import numpy as np

        def preview(value: Any) -> str:
            flat = np.asarray(value).reshape(-1)
            text = ", ".join(f"{v:g}" for v in flat[:12].tolist())
            return text + (f", ... ({flat.size} values)" if flat.size > 12 else "")

        summary = facts(
            [("model", self.model), ("runner", self.runner), ("samples", self.samples)]
            + [(key, value) for key, value in self.meta.items() if not isinstance(value, dict)]
            + [("input", self.provenance.get("input"))]
        )
        rows = [
            (name, str(list(np.shape(value))), self.dtypes.get(name, ""), preview(value))
            for name, value in {**self.tensors, **self.outputs}.items()
        ]
        return [summary, "", columns(("tensor", "shape", "dtype", "values"), rows, (0, 1, 2, 3))]
