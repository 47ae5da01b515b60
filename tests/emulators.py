"""Which emulated targets the tests can run on.

Where CI is set all of them count as present, so that a missing emulator or compiler is a failure.
"""

from __future__ import annotations

import os
import shutil

import pytest

from thimble.targets import load_target, target_names
from thimble.toolchain import find_compilers


def machines() -> list[str]:
    """The targets with an emulated machine whose QEMU is here."""
    found = []
    for name in target_names():
        machine = load_target(name).machine
        if machine is not None and (os.environ.get("CI") or shutil.which(machine.qemu)):
            found.append(name)
    return found


def pairs() -> list[tuple[str, str]]:
    """(target, kind of compiler) of all machines; "auto" in CI where a target has no compiler."""
    return [
        (name, kind)
        for name in machines()
        for kind in [c.kind for c in find_compilers(load_target(name))]
        or (["auto"] if os.environ.get("CI") else [])
    ]


def require(target: str) -> None:
    """Skip the test where the emulator of `target` is missing (where CI is set: let it fail)."""
    machine = load_target(target).machine
    if machine is not None and target not in machines():
        pytest.skip(f"NO EMULATOR: {machine.qemu} is absent")
