"""LOGISTIC and TANH of int16 by the table of the TFLite kernels, bit-exact with kernels/sigmoid.h.

The table is sigmoid(k / 24) in 1/65536, k = 0..255, as those kernels have it: 44 entries differ
by 1 from the rounded value. Inputs are first brought to the scale 1 / (3 * 4096).
"""

from __future__ import annotations

import math

import numpy as np

from thimble import fixedpoint

Array = np.ndarray

# fmt: off
TABLE = np.array([
    32768, 33451, 34133, 34813, 35493, 36169, 36843, 37513, 38180, 38841, 39498, 40149, 40794,
    41432, 42064, 42688, 43304, 43912, 44511, 45102, 45683, 46255, 46817, 47369, 47911, 48443,
    48964, 49475, 49975, 50464, 50942, 51409, 51865, 52311, 52745, 53169, 53581, 53983, 54374,
    54755, 55125, 55485, 55834, 56174, 56503, 56823, 57133, 57433, 57724, 58007, 58280, 58544,
    58800, 59048, 59288, 59519, 59743, 59959, 60168, 60370, 60565, 60753, 60935, 61110, 61279,
    61441, 61599, 61750, 61896, 62036, 62172, 62302, 62428, 62549, 62666, 62778, 62886, 62990,
    63090, 63186, 63279, 63368, 63454, 63536, 63615, 63691, 63765, 63835, 63903, 63968, 64030,
    64090, 64148, 64204, 64257, 64308, 64357, 64405, 64450, 64494, 64536, 64576, 64614, 64652,
    64687, 64721, 64754, 64786, 64816, 64845, 64873, 64900, 64926, 64950, 64974, 64997, 65019,
    65039, 65060, 65079, 65097, 65115, 65132, 65149, 65164, 65179, 65194, 65208, 65221, 65234,
    65246, 65258, 65269, 65280, 65291, 65301, 65310, 65319, 65328, 65337, 65345, 65352, 65360,
    65367, 65374, 65381, 65387, 65393, 65399, 65404, 65410, 65415, 65420, 65425, 65429, 65433,
    65438, 65442, 65445, 65449, 65453, 65456, 65459, 65462, 65465, 65468, 65471, 65474, 65476,
    65479, 65481, 65483, 65485, 65488, 65489, 65491, 65493, 65495, 65497, 65498, 65500, 65501,
    65503, 65504, 65505, 65507, 65508, 65509, 65510, 65511, 65512, 65513, 65514, 65515, 65516,
    65517, 65517, 65518, 65519, 65520, 65520, 65521, 65522, 65522, 65523, 65523, 65524, 65524,
    65525, 65525, 65526, 65526, 65526, 65527, 65527, 65528, 65528, 65528, 65529, 65529, 65529,
    65529, 65530, 65530, 65530, 65530, 65531, 65531, 65531, 65531, 65531, 65532, 65532, 65532,
    65532, 65532, 65532, 65533, 65533, 65533, 65533, 65533, 65533, 65533, 65533, 65534, 65534,
    65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65535,
], np.uint16)
# fmt: on

# Above this scale the product of input and multiplier would leave int32.
LARGEST_INPUT_SCALE = 2.0


def input_multiplier(scale: float) -> tuple[int, int]:
    """(multiplier, right shift) that bring an int16 of `scale` to the scale 1 / (3 * 4096)."""
    log2 = float(np.log(np.float32(scale)) * (np.float32(1) / np.log(np.float32(2))))
    nearest = fixedpoint.round_away(log2)
    if abs(log2 - nearest) < 1e-3 and nearest == -12:
        return 3, 0
    multiplier, shift = scale * 4096.0 * 3.0, 0
    while multiplier <= 32767.0 / 2.0 and shift <= 30:
        multiplier *= 2
        shift += 1
    return math.trunc(multiplier), shift


def _scaled(x: Array, multiplier: int, shift: int) -> Array:
    half = 1 << (shift - 1) if shift else 0
    return (np.asarray(x, np.int64) * multiplier + half) >> shift


def _interpolated(table: Array, magnitude: Array, bits: int, beyond: int) -> Array:
    """The table at magnitude / 2^bits, linear in between, in 1 / 2^(16 + bits)."""
    table = table.astype(np.int64)
    k = magnitude >> bits
    low = table[np.minimum(k, 254)]
    slope = table[np.minimum(k, 254) + 1] - low
    between = (low << bits) + (magnitude & ((1 << bits) - 1)) * slope
    return np.where(k >= 255, beyond << bits, between)


def logistic_s16(x: Array, multiplier: int, shift: int, table: Array = TABLE) -> Array:
    """sigmoid(x) in 1/32768 of int16 x."""
    v = _scaled(x, multiplier, shift)
    r = _interpolated(table, np.abs(v), 9, 0x7FFF << 1)
    return np.where(v >= 0, r + (1 << 9), (1 << 25) - r + (1 << 9) - 1) >> 10


def tanh_s16(x: Array, multiplier: int, shift: int, table: Array = TABLE) -> Array:
    """tanh(x) in 1/32768 of int16 x, as 2 sigmoid(2 x) - 1."""
    v = _scaled(x, multiplier, shift)
    r = _interpolated(table, np.abs(v), 8, 0xFFFF) - (1 << 23)
    return np.where(v >= 0, r + (1 << 7), -r + (1 << 7) - 1) >> 8
