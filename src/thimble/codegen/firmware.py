"""What codegen hands over: the files of a firmware project and where everything is in them.

Runners, the toolchain and the report read this; none of them looks into the C text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Port:
    """One model input or output: a parameter of `NAME_run`, in order."""

    name: str  # tensor name
    c_name: str  # parameter name in C: input, input0, output1 ...
    shape: tuple[int, ...]
    dtype: str
    scale: float = 0.0  # 0: not quantized
    zero_point: int = 0
    arena_offset: int | None = None  # where the plan keeps room for it, None: outside the arena
    room: str = ""  # C expression for its room in another memory region

    @property
    def elements(self) -> int:
        n = 1
        for dim in self.shape:
            n *= dim
        return n


@dataclass(frozen=True)
class TracePoint:
    """A tensor that can be read once its layer has run."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    expression: str  # C expression for its address, given `const NAME_io *io`
    scale: float = 0.0
    zero_point: int = 0


@dataclass(frozen=True)
class FirmwareLayer:
    """One layer of the model as the C file has it.

    `functions` are static and never inlined or cloned, so that their symbols mark the layer:
    `NAME_layer_K(io)`, or `NAME_rows_CALL(io, y_first, y_count)` where the layer is streamed; none
    where it needs no code (RESHAPE).
    `stage` are the functions of `io` to call, after those of the layers before, so that the layer
    is done: its own, or `NAME_segment_S` on the last layer of a streamed segment. The layers within
    a segment have none, and no `outputs` where only some rows are ever in memory.
    """

    index: int
    op: str
    name: str
    functions: tuple[str, ...]
    stage: tuple[str, ...]
    kernels: tuple[str, ...]
    specialised: bool
    macs: int
    weights_bytes: int
    output_bytes: int
    outputs: tuple[TracePoint, ...]


@dataclass(frozen=True)
class Firmware:
    """A model as C: `files` maps relative path to text ("kws.c", "kws.h", "thm/conv_2d.h", ...).

    `NAME.c` is the only translation unit, but for the `units` of a split model. All constants of
    the model are symbols `NAME_const_K` (in a part: `NAME_partP_const_K`), so that weights_bytes
    can be told from code_bytes in the linked firmware. `NAME_io` is
    `{ uint8_t *arena; const T *<input c_name>...; T *<output c_name>...; }`.
    """

    name: str
    files: Mapping[str, str]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    layers: tuple[FirmwareLayer, ...]
    arena_bytes: int
    arena_align: int
    state_bytes: int
    weights_bytes: int
    macs: int
    uses_libm: bool
    notes: Mapping[str, str] = field(default_factory=dict)
    region_bytes: Mapping[str, int] = field(default_factory=dict)  # of arrays beside the arena
    units: tuple[str, ...] = ()  # other translation units, of the parts that NAME.c calls

    @property
    def source(self) -> str:
        """Relative path of the translation unit."""
        return f"{self.name}.c"
