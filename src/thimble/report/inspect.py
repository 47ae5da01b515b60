"""What is in a model file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thimble.report.base import Report, bytes_figure, columns, facts, short

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class PortInfo:
    """One model input or output: real = scale * (q - zero_point) where scale is not None."""

    name: str
    shape: Sequence[int]
    dtype: str
    scale: float | None
    zero_point: int | None


@dataclass(frozen=True)
class InspectLayer:
    """One node of the main graph. `weights_bytes`: its constants as stored."""

    index: int
    op: str
    name: str
    input_shapes: Sequence[Sequence[int] | None]
    output_shapes: Sequence[Sequence[int]]
    dtype: str
    macs: int | None
    weights_bytes: int
    output_bytes: int
    options: Mapping[str, object] = field(default_factory=dict)
    supported: bool = True


@dataclass(frozen=True)
class InspectReport(Report):
    """A model: totals, inputs, outputs, layers, findings, and where the file comes from."""

    model: str
    description: str
    inputs: Sequence[PortInfo]
    outputs: Sequence[PortInfo]
    layers: Sequence[InspectLayer]
    macs: int
    weights_bytes: int
    activation_peak_bytes: int | None
    state_bytes: int
    subgraphs: int
    ops: Mapping[str, int]
    signatures: Sequence[str] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)
    file_bytes: int | None = None
    sha256: str | None = None
    findings: Sequence[Mapping[str, str]] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)

    def render(self) -> Sequence[RenderableType]:
        def port(p: PortInfo) -> str:
            quant = f", real = {p.scale:.6g} * (q - {p.zero_point})" if p.scale is not None else ""
            return f"`{p.name}` {list(p.shape)} {p.dtype}{quant}"

        summary = facts(
            [
                ("model", self.model + (f" ({self.description})" if self.description else "")),
                ("file", bytes_figure(self.file_bytes)),
                *((f"input {i}", port(p)) for i, p in enumerate(self.inputs)),
                *((f"output {i}", port(p)) for i, p in enumerate(self.outputs)),
                ("layers", ", ".join(f"{n} {op}" for op, n in self.ops.items())),
                ("MACs", f"{self.macs:,}"),
                ("constants", bytes_figure(self.weights_bytes)),
                ("least working RAM", bytes_figure(self.activation_peak_bytes)),
                ("state", bytes_figure(self.state_bytes) if self.state_bytes else None),
                ("subgraphs", self.subgraphs if self.subgraphs > 1 else None),
                ("signatures", ", ".join(self.signatures) or None),
                ("metadata", ", ".join(f"{k} {v}" for k, v in self.metadata.items()) or None),
            ]
        )
        table = columns(
            ("layer", "op", "name", "output", "dtype", "MACs", "const. B", "output B"),
            (
                (
                    x.index,
                    x.op + ("" if x.supported else " (!)"),
                    short(x.name),
                    " ".join(str(list(s)) for s in x.output_shapes),
                    x.dtype,
                    x.macs,
                    x.weights_bytes,
                    x.output_bytes,
                )
                for x in self.layers
            ),
            left=(1, 2, 3, 4),
        )
        tail = [f"{f['severity']}: {f['where']}: {f['message']}" for f in self.findings]
        return [summary, "", table, *([""] if tail else []), *tail]
