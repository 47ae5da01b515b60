"""A hand-made firmware: a small matrix product with 64-bit requantization, a float layer, a view.

int8 [1, 16] -> requantized int8 [1, 8] (layer 0) -> float32 [1, 8] (layer 1) -> the same as [8]
(layer 2) and a copy of layer 0's result as second output. The Python definition is `expected`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thimble.codegen.firmware import Firmware, FirmwareLayer, Port, TracePoint

MULTIPLIER = 1_518_500_250
WEIGHTS = ((np.arange(8 * 16) * 37 + 11) % 255 - 127).astype(np.int8).reshape(8, 16)

_HEADER = """\
#ifndef SAMPLE_H
#define SAMPLE_H
#include <stdint.h>
#include <string.h>
#if defined(__clang__)
#define THM_LAYER static __attribute__((noinline))
#else
#define THM_LAYER static __attribute__((noinline, noclone))
#endif
#define sample_ARENA_BYTES 64
typedef struct {
    uint8_t *arena;
    const int8_t *input;
    float *output0;
    int8_t *output1;
} sample_io;
void sample_run(void *arena, const int8_t input[16], float output0[8], int8_t output1[8]);
#endif
"""

_SOURCE = """\
#include "sample.h"
@INCLUDES@
static const int8_t sample_const_0[128] __attribute__((aligned(16))) = {@WEIGHTS@};
static const int32_t sample_const_1[1] = {@MULTIPLIER@};

/* layer 0 */
THM_LAYER void sample_layer_0(const sample_io *io)
{
    int8_t *y = (int8_t *)io->arena + 16;
    for (int32_t i = 0; i < 8; i++) {
        int32_t sum = 0;
        for (int32_t k = 0; k < 16; k++) {
            sum += io->input[k] * sample_const_0[i * 16 + k];
        }
        const int64_t wide = (int64_t)sum * sample_const_1[0] + ((int64_t)1 << 38);
        int32_t scaled = (int32_t)(wide >> 39);
        scaled = scaled < -128 ? -128 : scaled > 127 ? 127 : scaled;
        y[i] = (int8_t)scaled;
    }
}

/* layer 1 */
THM_LAYER void sample_layer_1(const sample_io *io)
{
    const int8_t *x = (const int8_t *)io->arena + 16;
    float *y = (float *)(void *)(io->arena + 32);
    for (int32_t i = 0; i < 8; i++) {
        y[i] = @FLOAT@;
    }
    memcpy(io->output0, y, 32);
    memcpy(io->output1, x, 8);
}

void sample_run(void *arena, const int8_t input[16], float output0[8], int8_t output1[8])
{
    const sample_io io = {(uint8_t *)arena, input, output0, output1};
    sample_layer_0(&io);
    sample_layer_1(&io);
}
@SELF_TEST@"""

_SELF_TEST = """\

int sample_self_test(void *arena)
{
    int8_t input[16];
    float y[8];
    int8_t z[8];
    memset(input, 1, sizeof input);
    sample_run(arena, input, y, z);
    return z[0] == @GOLDEN@ ? 0 : 1;
}
"""


def expected(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both outputs for one input [1, 16] int8."""
    sums = WEIGHTS.astype(np.int64) @ x.reshape(16).astype(np.int64)
    requantized = np.clip((sums * MULTIPLIER + (1 << 38)) >> 39, -128, 127).astype(np.int8)
    real = requantized.astype(np.float32) * np.float32(0.25) + np.float32(1.5)
    return real, requantized


def firmware(
    float_expression: str = "(float)x[i] * 0.25f + 1.5f",
    includes: str = "",
    self_test: str | None = "",
) -> Firmware:
    """The sample. `self_test`: the expected element 0, "" for the right one, None for no test."""
    source = _SOURCE.replace("@WEIGHTS@", ", ".join(map(str, WEIGHTS.ravel())))
    source = source.replace("@MULTIPLIER@", str(MULTIPLIER)).replace("@FLOAT@", float_expression)
    source = source.replace("@INCLUDES@", includes)
    golden = self_test or str(expected(np.ones((1, 16), np.int8))[1][0])
    test = "" if self_test is None else _SELF_TEST.replace("@GOLDEN@", golden)
    source = source.replace("@SELF_TEST@", test)
    hidden = TracePoint("hidden", (1, 8), "int8", "io->arena + 16", 0.25, 0)
    real = TracePoint("real", (1, 8), "float32", "io->arena + 32")
    view = replace(real, name="view", shape=(8,))
    return Firmware(
        name="sample",
        files={"sample.c": source, "sample.h": _HEADER},
        inputs=(Port("x", "input", (1, 16), "int8", 0.5, 0, arena_offset=0),),
        outputs=(Port("view", "output0", (8,), "float32"), Port("hidden", "output1", (8,), "int8")),
        layers=(
            FirmwareLayer(
                0,
                "FULLY_CONNECTED",
                "hidden",
                ("sample_layer_0",),
                ("sample_layer_0",),
                ("dense",),
                True,
                128,
                132,
                8,
                (hidden,),
            ),
            FirmwareLayer(
                1,
                "DEQUANTIZE",
                "real",
                ("sample_layer_1",),
                ("sample_layer_1",),
                ("dequantize",),
                True,
                0,
                0,
                32,
                (real,),
            ),
            FirmwareLayer(2, "RESHAPE", "view", (), (), (), False, 0, 0, 32, (view,)),
        ),
        arena_bytes=64,
        arena_align=16,
        state_bytes=0,
        weights_bytes=132,
        macs=128,
        uses_libm=bool(includes),
    )


def samples(count: int, seed: int = 1) -> list[list[np.ndarray]]:
    """Random inputs."""
    rng = np.random.default_rng(seed)
    return [[rng.integers(-128, 128, (1, 16)).astype(np.int8)] for _ in range(count)]
