/* The tile of conv_2d_lanes.h: all outputs at some adjacent positions. Plain C here; arch/avx512.h and
 * arch/avx2.h for constants packed for them. */
#ifndef THM_ARCH_LANES_H
#define THM_ARCH_LANES_H

#include "../fixedpoint.h"

typedef struct {
    const int8_t *x;
    int32_t x_step;              /* bytes from position to position */
    int32_t rows, row_step;      /* rows of the filter */
    const int8_t *x_end;         /* a row that would start here or later ... */
    int32_t x_wrap;              /* ... starts so many bytes earlier; 0: rows are no ring */
    int32_t runs, run_step;      /* runs of a row, each of ... */
    int32_t length;              /* ... so many products */
    const int8_t *w;
    const int32_t *records;
    int32_t outputs, lanes, k_block, x_offset;
    int32_t output_offset, act_min, act_max;
    int8_t *y;
    int32_t y_step;              /* bytes from position to position */
} thm_lanes_tile;

THM_INLINE const int8_t *thm_lanes_next_row(const thm_lanes_tile *t, const int8_t *x)
{
    x += t->row_step;
    return t->x_wrap != 0 && x >= t->x_end ? x - t->x_wrap : x;
}

/* Any packing, one output and position at a time. */
THM_INLINE void thm_lanes_any_s8(const thm_lanes_tile *t, int32_t n)
{
    const int32_t run_bytes = (t->length + t->k_block - 1) / t->k_block * t->k_block * t->lanes;
    for (int32_t i = 0; i < n; i++) {
        for (int32_t o = 0; o < t->outputs; o++) {
            const int32_t block = o / t->lanes, lane = o % t->lanes;
            const int32_t *record = t->records + block * 3 * t->lanes + lane;
            const int8_t *w = t->w + block * t->rows * t->runs * run_bytes + lane * t->k_block;
            const int8_t *x = t->x + i * t->x_step;
            int32_t acc = record[0];
            for (int32_t row = 0; row < t->rows; row++) {
                for (int32_t run = 0; run < t->runs; run++) {
                    for (int32_t k = 0; k < t->length; k++) {
                        const int32_t at = k / t->k_block * t->k_block * t->lanes + k % t->k_block;
                        acc += w[at] * (x[run * t->run_step + k] + t->x_offset);
                    }
                    w += run_bytes;
                }
                x = thm_lanes_next_row(t, x);
            }
            acc = thm_requantize(acc, record[t->lanes], record[2 * t->lanes]) + t->output_offset;
            t->y[i * t->y_step + o] = (int8_t)thm_clamp(acc, t->act_min, t->act_max);
        }
    }
}

#if defined(__clang__)
#define THM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define THM_UNROLL _Pragma("GCC unroll 64")
#endif

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define THM_AVX512 1
#include "avx512.h"
#elif defined(__AVX2__)
#define THM_PAIR_LANES 1
#include "avx2.h"
#include "pair_lanes.h"
#elif defined(__wasm_simd128__)
#define THM_PAIR_LANES 1
#include "simd128.h"
#include "pair_lanes.h"
#else
THM_INLINE void thm_lanes_s8(const thm_lanes_tile *t, int32_t n)
{
    thm_lanes_any_s8(t, n);
}
#endif

#endif
