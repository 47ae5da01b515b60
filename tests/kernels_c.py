"""Runs a kernel's C next to its NumPy twin: same params, same buffers, compared byte for byte.

One shared library per header, compiled once per session with -Wall -Wextra -Wconversion -Werror,
UBSan on (traps), for every host compiler named.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from thimble import ops
from thimble.host import layer_flags
from thimble.program import KERNELS, signatures

WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-ffp-contract=off"]
TRAPS = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]


@cache
def library(header: str, layer: str = "scalar") -> ctypes.CDLL:
    """All kernels of `kernels/<header>`, exported under their own names with the prefix lab_.

    Compiled for a vector layer of the host.
    """
    folder = Path(tempfile.mkdtemp(prefix="thimble-kernels-"))
    lines = [f'#include "{header}"', ""]
    for sig in signatures().values():
        if sig.header != header:
            continue
        declared = ", ".join(
            f"{'' if b.is_output else 'const '}{b.c_type} *{b.name}" for b in sig.buffers
        )
        names = ", ".join(b.name for b in sig.buffers)
        lines += [
            f"void lab_{sig.kernel}(const {sig.kernel}_params *p, int32_t y_first, int32_t y_count,"
            f" {declared});",
            f"void lab_{sig.kernel}(const {sig.kernel}_params *p, int32_t y_first, int32_t y_count,"
            f" {declared})",
            f"{{ {sig.kernel}(p, y_first, y_count, {names}); }}",
        ]
    source = folder / "lab.c"
    source.write_text("\n".join(lines) + "\n")
    target = folder / "lab.so"
    command = ["gcc", "-O2", *WARNINGS, *TRAPS, *layer_flags(layer)]
    command += ["-shared", "-fPIC", f"-I{KERNELS}"]
    subprocess.run([*command, "-o", str(target), str(source), "-lm"], check=True)
    return ctypes.CDLL(str(target))


def run_c(
    kernel: str,
    params: dict[str, int | float],
    buffers: dict[str, np.ndarray | None],
    y_first: int = 0,
    y_count: int = 1,
    layer: str = "scalar",
) -> None:
    """Call the C kernel on `buffers` (flat arrays of the header's types), writing outputs in
    place.
    """
    sig = signatures()[kernel]
    assert set(params) == set(sig.params), set(params) ^ set(sig.params)
    assert set(buffers) == {b.name for b in sig.buffers}, (sorted(buffers), sig.buffers)
    words = b"".join(
        (np.float32 if c_type == "float" else np.int32)(params[name]).tobytes()
        for name, c_type in sig.params.items()
    )
    pointers = []
    for b in sig.buffers:
        array = buffers[b.name]
        if array is not None:
            assert array.flags.c_contiguous
            assert array.itemsize == np.dtype(b.dtype).itemsize, (b.name, array.dtype)
        pointers.append(None if array is None else array.ctypes.data_as(ctypes.c_void_p))
    function = getattr(library(sig.header, layer), f"lab_{kernel}")
    function.restype = None
    function(ctypes.c_char_p(words), ctypes.c_int32(y_first), ctypes.c_int32(y_count), *pointers)


def run_twin(
    kernel: str,
    params: dict[str, int | float],
    buffers: dict[str, np.ndarray | None],
    y_first: int = 0,
    y_count: int = 1,
) -> None:
    """Call the NumPy twin on the same."""
    sig = signatures()[kernel]
    ops.twin(kernel)(
        SimpleNamespace(**params), y_first, y_count, *(buffers[b.name] for b in sig.buffers)
    )


def assert_twins_agree(
    kernel: str,
    params: dict[str, int | float],
    buffers: dict[str, np.ndarray | None],
    y_first: int = 0,
    y_count: int = 1,
    layer: str = "scalar",
) -> dict[str, np.ndarray]:
    """C and NumPy leave the same bytes in every output buffer. Returns those buffers."""
    sig = signatures()[kernel]
    in_c = {k: None if v is None else v.reshape(-1).copy() for k, v in buffers.items()}
    in_numpy = {k: None if v is None else v.reshape(-1).copy() for k, v in buffers.items()}
    run_c(kernel, params, in_c, y_first, y_count, layer)
    run_twin(kernel, params, in_numpy, y_first, y_count)
    outputs = {}
    for b in sig.buffers:
        c_array, numpy_array = in_c[b.name], in_numpy[b.name]
        if c_array is None or numpy_array is None or b.name == "scratch":
            continue
        same = c_array.tobytes() == numpy_array.tobytes()
        if not same:
            np.testing.assert_array_equal(
                c_array, numpy_array, err_msg=f"{kernel} {b.name} {params}"
            )
        assert same, f"{kernel} {b.name}: equal values, different bytes (-0.0 or NaN): {params}"
        if b.is_output:
            outputs[b.name] = c_array
    return outputs


assert sys.byteorder == "little"
