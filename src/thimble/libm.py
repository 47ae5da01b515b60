"""The C library's float functions over arrays: expf(x), logf(x) ... as compiled kernels call them.

NumPy's own differ from them in the last bit, which would hide a twin's other differences.
Where no C library is found, NumPy stands in.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable
from functools import cache

import numpy as np

Array = np.ndarray


@cache
def unary(name: str) -> Callable[[Array], Array]:
    """`name` ("exp", "log", "tanh" ...) of float32 arrays, with the C library's last bit."""
    path = ctypes.util.find_library("m")
    function = getattr(ctypes.CDLL(path), f"{name}f", None) if path else None
    if function is None:
        return getattr(np, name)
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
    each = np.frompyfunc(function, 1, 1)
    return lambda x: np.asarray(each(np.asarray(x, np.float32)), np.float32)
