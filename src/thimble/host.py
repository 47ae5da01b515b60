"""Vector instructions of the machine that Thimble runs on, and the compiler's flags for them.

Layers are named as in `arch.py`. What the host runner compiles is for the machine that loads it;
what `build --target host` writes is the same on every machine.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from thimble.targets import Target, load_target

# Fastest first: what /proc/cpuinfo must list, and the flags of gcc and clang.
_LAYERS = {
    "avx512": (
        ("avx512f", "avx512bw", "avx512vl", "avx512_vnni"),
        ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni"),
    ),
    "avx2": (("avx2",), ("-mavx2",)),
    "scalar": ((), ()),
}


@cache
def _cpu_flags() -> frozenset[str]:
    """The feature words of the first processor; none where the system does not say."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return frozenset()
    for line in text.splitlines():
        name, _, words = line.partition(":")
        if name.strip() == "flags":
            return frozenset(words.split())
    return frozenset()


def host_layers() -> tuple[str, ...]:
    """The layers that this machine can run, fastest first; "scalar" is always the last."""
    here = _cpu_flags()
    return tuple(name for name, (needs, _) in _LAYERS.items() if here.issuperset(needs))


def layer_flags(layer: str) -> tuple[str, ...]:
    """What the host's compiler needs to use `layer`."""
    return _LAYERS[layer][1]


def this_machine() -> Target:
    """The target `host`, constants packed for the fastest layer that this machine can run."""
    return replace(load_target("host"), arch=host_layers()[0])
