/* Float tiles of conv_2d_lanes_f32.h: sums of different outputs in the lanes of a vector, so that each sum
 * is added in the order of plain C. Vectors are those of gcc and clang, as wide as the core has them. */
#ifndef THM_ARCH_LANES_F32_H
#define THM_ARCH_LANES_F32_H

#include "f32s.h"

#if defined(__AVX512F__)
#define THM_F32_BLOCKS 4
#define THM_F32_POSITIONS 6
#else
#define THM_F32_BLOCKS 2
#define THM_F32_POSITIONS 4
#endif

typedef struct {
    const float *x;
    int32_t x_step;              /* elements from position to position */
    int32_t rows, row_step;      /* rows of the filter */
    const float *x_end;          /* a row that would start here or later ... */
    int32_t x_wrap;              /* ... starts so many elements earlier; 0: rows are no ring */
    int32_t runs, run_step;      /* runs of a row, each of ... */
    int32_t length;              /* ... so many products */
    const float *w, *bias;
    int32_t outputs, lanes;
    float act_min, act_max;
    float *y;
    int32_t y_step;              /* elements from position to position */
} thm_lanes_tile_f32;

THM_INLINE const float *thm_lanes_next_row_f32(const thm_lanes_tile_f32 *t, const float *x)
{
    x += t->row_step;
    return t->x_wrap != 0 && x >= t->x_end ? x - t->x_wrap : x;
}

/* Any packing, one output and position at a time. */
THM_INLINE void thm_lanes_any_f32(const thm_lanes_tile_f32 *t, int32_t n)
{
    const int32_t run = t->length * t->lanes, block_step = t->rows * t->runs * run;
    for (int32_t i = 0; i < n; i++) {
        for (int32_t o = 0; o < t->outputs; o++) {
            const float *w = t->w + o / t->lanes * block_step + o % t->lanes;
            const float *x = t->x + i * t->x_step;
            float acc = 0.0f;
            for (int32_t row = 0; row < t->rows; row++) {
                for (int32_t r = 0; r < t->runs; r++, w += run) {
                    for (int32_t k = 0; k < t->length; k++) {
                        acc += x[r * t->run_step + k] * w[k * t->lanes];
                    }
                }
                x = thm_lanes_next_row_f32(t, x);
            }
            t->y[i * t->y_step + o] = thm_clamp_f32(acc + t->bias[o], t->act_min, t->act_max);
        }
    }
}

#if THM_F32_LANES > 1
#if defined(__clang__)
#define THM_UNROLL_F32 _Pragma("clang loop unroll(full)")
#else
#define THM_UNROLL_F32 _Pragma("GCC unroll 64")
#endif

/* `blocks` vectors of outputs at `positions` positions from x on. */
THM_INLINE void thm_block_f32(const thm_lanes_tile_f32 *t, int32_t blocks, int32_t positions,
                              int32_t o, const float *w, const float *x, float *y)
{
    const int32_t w_step = t->rows * t->runs * t->length * THM_F32_LANES;
    thm_f32s sums[24];
    THM_UNROLL_F32
    for (int32_t i = 0; i < positions * blocks; i++) {
        sums[i] = thm_zero_f32s();
    }
    for (int32_t row = t->rows; row > 0; row--) {
        const float *run = x;
        for (int32_t r = t->runs; r > 0; r--, run += t->run_step) {
            const float *from = run;
            for (int32_t k = t->length; k > 0; k--, from++, w += THM_F32_LANES) {
                thm_f32s weights[THM_F32_BLOCKS];
                THM_UNROLL_F32
                for (int32_t b = 0; b < blocks; b++) {
                    weights[b] = thm_load_f32s(w + b * w_step);
                }
                THM_UNROLL_F32
                for (int32_t i = 0; i < positions; i++) {
                    const float v = from[i * t->x_step];
                    THM_UNROLL_F32
                    for (int32_t b = 0; b < blocks; b++) {
                        sums[i * blocks + b] += v * weights[b];
                    }
                }
            }
        }
        x = thm_lanes_next_row_f32(t, x);
    }
    THM_UNROLL_F32
    for (int32_t i = 0; i < positions; i++) {
        THM_UNROLL_F32
        for (int32_t b = 0; b < blocks; b++) {
            const int32_t at = o + b * THM_F32_LANES;
            const thm_f32s q = sums[i * blocks + b] + thm_load_f32s(t->bias + at);
            thm_store_f32s(y + i * t->y_step + at, thm_clamp_f32s(q, t->act_min, t->act_max),
                           t->outputs - at);
        }
    }
}

THM_INLINE void thm_blocks_f32(const thm_lanes_tile_f32 *t, int32_t blocks, int32_t most, int32_t o,
                               const float *w, int32_t n)
{
    const float *x = t->x;
    float *y = t->y;
    for (int32_t count; n > 0; n -= count) {
        count = n >= most ? most : n >= 2 ? 2 : 1;
        if (count == most) {
            thm_block_f32(t, blocks, most, o, w, x, y);
        } else if (count == 2) {
            thm_block_f32(t, blocks, 2, o, w, x, y);
        } else {
            thm_block_f32(t, blocks, 1, o, w, x, y);
        }
        x += count * t->x_step;
        y += count * t->y_step;
    }
}

/* All outputs of n positions; weights and biases packed for THM_F32_LANES. */
__attribute__((noinline, unused)) static void thm_lanes_vector_f32(const thm_lanes_tile_f32 *t,
                                                                   int32_t n)
{
    const int32_t w_step = t->rows * t->runs * t->length * THM_F32_LANES;
    const float *w = t->w;
    int32_t o = 0, left = (t->outputs + THM_F32_LANES - 1) / THM_F32_LANES;
    for (; left >= THM_F32_BLOCKS; left -= THM_F32_BLOCKS) {
        thm_blocks_f32(t, THM_F32_BLOCKS, THM_F32_POSITIONS, o, w, n);
        o += THM_F32_BLOCKS * THM_F32_LANES;
        w += THM_F32_BLOCKS * w_step;
    }
#if THM_F32_BLOCKS > 2
    for (; left >= 2; left -= 2) {
        thm_blocks_f32(t, 2, 8, o, w, n);
        o += 2 * THM_F32_LANES;
        w += 2 * w_step;
    }
#endif
    for (; left > 0; left--) {
        thm_blocks_f32(t, 1, 8, o, w, n);
        o += THM_F32_LANES;
        w += w_step;
    }
}
#endif

THM_INLINE void thm_lanes_f32(const thm_lanes_tile_f32 *t, int32_t n)
{
#if THM_F32_LANES > 1
    if (t->lanes == THM_F32_LANES) {
        thm_lanes_vector_f32(t, n);
        return;
    }
#endif
    thm_lanes_any_f32(t, n);
}

#endif
