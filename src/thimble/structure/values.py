"""How much a constant or a scale changed, in words with figures."""

from __future__ import annotations

import numpy as np

from thimble.graph import ITEM_BITS, Tensor
from thimble.invariants import RAW_DTYPES
from thimble.ops.contract import int_weights

Array = np.ndarray
ROUNDED_LSB = 0.5001  # what rounding to the nearest step may move a value by


def number(value: float) -> str:
    """A scale or value as it is shown: seven significant digits tell float32 values apart."""
    return f"{value:.7g}"


def relative(before: float, after: float) -> float:
    """|after - before| / |before|; infinite from zero to anything else."""
    if before == after:
        return 0.0
    return abs(after - before) / abs(before) if before else float("inf")


def moved(before: float, after: float) -> str:
    """0.02 -> 0.022 (+10 %)"""
    text = f"{number(before)} -> {number(after)}"
    if not before or not np.isfinite(before) or not np.isfinite(after):
        return text
    return f"{text} ({(after - before) / abs(before) * 100:+.3g} %)"


def plain_values(tensor: Tensor) -> Array | None:
    """The stored values as numbers of `shape`; None where they are no numbers."""
    data = tensor.data
    if data is None or "sparsity" in tensor.extra:
        return None
    if tensor.dtype == "int4":
        return int_weights(tensor)
    if tensor.dtype in RAW_DTYPES or data.dtype.kind not in "iufb" or data.shape != tensor.shape:
        return None
    return data


def real_values(tensor: Tensor) -> Array | None:
    """scale * (q - zero_point) in double; stored floats as they are; None as in `plain_values`."""
    values = plain_values(tensor)
    if values is None:
        return None
    real = values.astype(np.float64)
    quant = tensor.quant
    if quant is None or not len(quant.scale) or values.dtype.kind == "f":
        return real
    shape = [1] * real.ndim
    if quant.is_per_channel:
        if not 0 <= quant.axis < real.ndim or real.shape[quant.axis] != len(quant.scale):
            return None
        shape[quant.axis] = -1
    scale = quant.scale.astype(np.float64).reshape(shape)
    return (real - quant.zero_point.astype(np.float64).reshape(shape)) * scale


def steps(tensor: Tensor) -> Array | None:
    """The scale of every element of an integer tensor, to be broadcast; None without one."""
    quant = tensor.quant
    if quant is None or not len(quant.scale) or tensor.dtype.startswith(("float", "bfloat")):
        return None
    shape = [1] * len(tensor.shape)
    if quant.is_per_channel:
        shape[quant.axis] = -1
    return quant.scale.astype(np.float64).reshape(shape)


def how_much(before: Tensor, after: Tensor) -> str:
    """12 of 640 elements differ, by up to 3 steps (0.0021)."""
    old, new = plain_values(before), plain_values(after)
    if old is None or new is None or old.shape != new.shape:
        return "its bytes differ"
    real_old, real_new = real_values(before), real_values(after)
    if old.size == 0 or real_old is None or real_new is None:
        return "its bytes differ"
    with np.errstate(all="ignore"):
        differing = int((old != new).sum())
        most = float(np.nanmax(np.abs(real_new - real_old), initial=0.0))
        text = f"{differing:,} of {old.size:,} elements differ"
        if old.dtype == new.dtype and old.dtype.kind in "iu" and ITEM_BITS[before.dtype] <= 32:
            lsb = int(np.abs(new.astype(np.int64) - old.astype(np.int64)).max())
            text += f", by up to {lsb:,} steps"
        largest = float(np.nanmax(np.abs(real_old), initial=0.0))
        share = f", {most / largest * 100:.3g} % of the largest" if largest else ""
    return f"{text} (up to {most:.3g}{share})"


def is_rounded(before: Tensor, after: Tensor) -> bool:
    """Whether one of the two is the other rounded to the steps of its scale, element by element."""
    old, new = real_values(before), real_values(after)
    if old is None or new is None or old.shape != new.shape:
        return False
    for step in (steps(before), steps(after)):
        if step is None:
            continue
        with np.errstate(all="ignore"):
            if bool((np.abs(new - old) <= ROUNDED_LSB * step).all()):
                return True
    return False
