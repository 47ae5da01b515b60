/* Rows of depthwise_conv_2d_lanes.h: plain C here; arch/avx512_depthwise.h and
 * arch/pair_lanes_depthwise.h for constants packed for them. */
#ifndef THM_ARCH_DEPTHWISE_LANES_H
#define THM_ARCH_DEPTHWISE_LANES_H

#include "lanes.h"

typedef struct {
    const int8_t *x;
    int32_t first;               /* bytes to the first window of the first row */
    int32_t x_step;              /* bytes from position to position */
    int32_t row_step, column_step; /* bytes from tap to tap */
    int32_t ring;                /* bytes of the ring of rows; 0: the input is no ring */
    int32_t rows, band_step;     /* rows of the output, bytes from the windows of one to the next */
    int32_t taps_h, taps_w;
    const int8_t *w;
    const int32_t *records;
    int32_t channels, lanes, k_block, together;
    int32_t x_offset, output_offset, act_min, act_max;
    int32_t positions;           /* of a row */
    int8_t *y;                   /* rows follow one another */
} thm_depthwise_lanes;

/* Bytes from t->x to row ky of the windows that start at `first`. */
THM_INLINE int32_t thm_depthwise_row(const thm_depthwise_lanes *t, int32_t first, int32_t ky)
{
    const int32_t at = first + ky * t->row_step;
    return t->ring != 0 && at >= t->ring ? at - t->ring : at;
}

THM_INLINE void thm_depthwise_lanes_any_s8(const thm_depthwise_lanes *t)
{
    const int32_t taps = t->taps_h * t->taps_w, groups = (taps + t->k_block - 1) / t->k_block;
    int8_t *y = t->y;
    for (int32_t row = 0; row < t->rows; row++) {
        for (int32_t i = 0; i < t->positions; i++) {
            for (int32_t c = 0; c < t->channels; c++) {
                const int32_t block = c / t->lanes, lane = c % t->lanes;
                const int32_t place =
                    (lane % 16 / 4 * (t->lanes / 16) + lane / 16) * 4 + lane % 4;
                const int32_t *record = t->records + block * 3 * t->lanes + place;
                const int8_t *w = t->w + (block * groups * t->lanes + place) * t->k_block;
                int32_t acc = record[0];
                for (int32_t tap = 0; tap < taps; tap++) {
                    const int32_t from =
                        thm_depthwise_row(t, t->first + row * t->band_step, tap / t->taps_w);
                    const int32_t at = tap / t->k_block * t->k_block * t->lanes + tap % t->k_block;
                    acc += w[at] * (t->x[from + i * t->x_step + tap % t->taps_w * t->column_step +
                                         c] +
                                    t->x_offset);
                }
                acc = thm_requantize(acc, record[t->lanes], record[2 * t->lanes]);
                *y++ = (int8_t)thm_clamp(acc + t->output_offset, t->act_min, t->act_max);
            }
        }
    }
}

#if defined(THM_AVX512)
#include "avx512_depthwise.h"
#elif defined(THM_PAIR_LANES)
#include "pair_lanes_depthwise.h"
#else
THM_INLINE void thm_depthwise_lanes_s8(const thm_depthwise_lanes *t)
{
    thm_depthwise_lanes_any_s8(t);
}
#endif

#endif
