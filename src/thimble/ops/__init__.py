"""All ops, found by looking into this package: adding an op is adding its file.

`find("CONV_2D")` is the class of an op, `twin("thm_conv_2d_s8")` the NumPy twin of a kernel.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import Any

from thimble.ops.contract import Op


@cache
def _modules() -> tuple[Any, ...]:
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name != "contract")
    return tuple(importlib.import_module(f"{__name__}.{name}") for name in names)


@cache
def all_ops() -> dict[str, type[Op]]:
    """TFLite op name -> class, sorted by name."""
    found: dict[str, type[Op]] = {}
    for module in _modules():
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Op) and "name" in vars(value):
                found[value.name] = value
    return dict(sorted(found.items()))


def find(name: str) -> type[Op] | None:
    """The op called `name` in the TFLite schema ("CONV_2D"), or None."""
    return all_ops().get(name)


@cache
def all_twins() -> dict[str, Callable[..., None]]:
    """Kernel name -> NumPy twin."""
    return {
        name: value
        for module in _modules()
        for name, value in vars(module).items()
        if name.startswith("thm_") and callable(value)
    }


def twin(kernel: str) -> Callable[..., None]:
    """The NumPy twin of a kernel. Raises KeyError for a kernel without one (a bug of ours)."""
    return all_twins()[kernel]
