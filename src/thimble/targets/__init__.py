"""Cores that Thimble builds for, one TOML file each: compiler flags, kernel layer, emulator.

To add a core, add `NAME.toml`; nothing else lists them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from thimble.errors import BadInput, Finding

Optimize = Literal["speed", "size"]

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Region:
    """A range of the machine's memory."""

    origin: int
    bytes: int


@dataclass(frozen=True)
class Machine:
    """The QEMU machine that stands for a core.

    qemu: the program, of the Debian package `package`; machine: its `-M`, with `options`; core:
    the start-up code, `runners/emulator/<core>.c`. flash: vectors, code and, where they fit, the
    model's constants; ram: stack, data, arena; external: what does not fit in those two.
    tick_hz: rate of the core's timer, for counting with `-icount shift=0` (one instruction is one
    nanosecond of virtual time).
    """

    qemu: str
    package: str
    core: str
    machine: str
    options: tuple[str, ...]
    tick_hz: int
    flash: Region
    ram: Region
    external: Region


@dataclass(frozen=True)
class CompilerSpec:
    """How one kind of compiler is called for a target. `commands` are tried on PATH in order;

    `packages` are the Debian packages to install where none of them is there.
    """

    commands: tuple[str, ...]
    flags: tuple[str, ...]
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """A core: `arch` names the layer of `kernels/arch/`, `optimize` the flags of each goal.

    `memory` are the regions that its parts commonly have, with their bytes. `machine` is what
    emulates it; `engine`, for WebAssembly, the Python package that runs it.
    """

    name: str
    description: str
    arch: str
    compilers: Mapping[str, CompilerSpec]  # "gcc" | "clang"
    optimize: Mapping[str, tuple[str, ...]]  # "speed" | "size"
    machine: Machine | None
    engine: str | None = None
    memory: Mapping[str, int] = field(default_factory=dict)  # region -> bytes, the fastest first

    @property
    def is_host(self) -> bool:
        return self.name == "host"

    @property
    def is_measured(self) -> bool:
        """Whether instructions, stack and code of a model can be measured for it."""
        return self.machine is not None or self.engine is not None


@cache
def target_names() -> tuple[str, ...]:
    """The names `load_target` knows, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@cache
def load_target(name: str) -> Target:
    """The target called `name`. Raises BadInput, naming the known ones, for any other name."""
    if name not in target_names():
        raise BadInput(
            Finding(
                "unknown-target",
                f"target `{name}`",
                "there is no such target",
                f"known targets: {', '.join(target_names())}",
            )
        )
    with open(_FOLDER / f"{name}.toml", "rb") as file:
        fields = tomllib.load(file)
    return Target(
        name=name,
        description=fields["description"],
        arch=fields["arch"],
        compilers={
            kind: CompilerSpec(
                tuple(fields[kind].get("commands", ())),
                tuple(fields[kind]["flags"]),
                tuple(fields[kind].get("packages", ())),
            )
            for kind in fields  # in the file's order: the preferred first
            if kind in ("gcc", "clang")
        },
        optimize={goal: tuple(flags) for goal, flags in fields["optimize"].items()},
        machine=_machine(fields["emulator"]) if "emulator" in fields else None,
        engine=fields["engine"]["name"] if "engine" in fields else None,
        memory=fields.get("memory", {}),
    )


def _machine(fields: Mapping[str, Any]) -> Machine:
    regions: dict[str, Any] = {name: Region(**region) for name, region in fields["regions"].items()}
    names = {name: fields[name] for name in ("qemu", "package", "core", "machine", "tick_hz")}
    return Machine(**names, options=tuple(fields.get("options", ())), **regions)
