/* A row of outputs of a 3 x 3 depthwise convolution, of one to four channels.
 *
 * x: rows taken apart (planar.h), [lane][slot][THM_3X3_WORDS] of three slots. A channel's table has the taps
 * of the rows of slots 0, 1, 2, 0, 1, so that from byte `rotation` on come those of slots 0, 1, 2, whichever
 * row of the filter slot 0 holds; then the requantization.
 *
 * thm_row_3x3_<stride>: y[i * y_step + lane] for 2 * even + is_odd positions, even_bytes = 2 * even * y_step.
 */
#ifndef THM_ARCH_ROWS_3X3_H
#define THM_ARCH_ROWS_3X3_H

#include "dsp.h"

#define THM_3X3_WORDS 26
#define THM_3X3_LANE (3 * THM_3X3_WORDS)

#if THM_THUMB1
#include "rows_3x3_thumb1.h"
#else

/* A row of the filter: {w0 w1}, {w1 w2}, doubled; after five of them 2 * bias, multiplier, rounding, shift - 1.
 * Doubled sums are what thm_requantize_record takes. */
#define THM_3X3_TABLE 14
#define THM_3X3_ROW_BYTES 8

/* The table of a channel from its three words of taps and its record. */
THM_INLINE void thm_table_3x3(const int32_t *w, const int32_t *record, int32_t center, int32_t *to)
{
    const int32_t w0 = w[0], w1 = w[1], w2 = w[2];
    const int32_t a0 = thm_sxtb16(w0), b0 = thm_sxtb16_odd(w0);
    const int32_t a1 = thm_sxtb16(w1), b1 = thm_sxtb16_odd(w1);
    const int32_t a2 = thm_sxtb16(w2), b2 = thm_sxtb16_odd(w2);
    to[0] = to[6] = thm_sadd16(a0, a0);
    to[1] = to[7] = thm_sadd16(b0, b0);
    to[2] = to[8] = thm_sadd16(a1, a1);
    to[3] = to[9] = thm_sadd16(b1, b1);
    to[4] = thm_sadd16(a2, a2);
    to[5] = thm_sadd16(b2, b2);
    to[10] = (record[0] >> 8) * 2;
    to[11] = record[1];
    to[12] = thm_lsl_byte(center, record[0]);
    to[13] = record[0] & 255;
}

#if THM_DSP
#include "rows_3x3_dsp.h"
#else
THM_INLINE void thm_row_3x3(const int32_t *x, const int32_t *table, int8_t *y, int32_t y_step,
                            int32_t width, int32_t lanes, int32_t rotation, int32_t stride)
{
    for (int32_t lane = 0; lane < lanes; lane++) {
        const int32_t *w = table + lane * THM_3X3_TABLE;
        for (int32_t i = 0; i < width; i++) {
            int32_t sum = w[10];
            for (int32_t slot = 0; slot < 3; slot++) {
                const int32_t *pair = x + lane * THM_3X3_LANE + slot * THM_3X3_WORDS;
                const int32_t *taps = w + rotation / 4 + 2 * slot;
                pair += i * stride / 2;
                if (i * stride % 2 == 0) {
                    sum = thm_smlabt(pair[1], taps[1], thm_smlad(pair[0], taps[0], sum));
                } else {
                    sum = thm_smlatb(pair[0], taps[0], thm_smlad(pair[1], taps[1], sum));
                }
            }
            y[i * y_step + lane] =
                thm_requantize_record(sum, sum, w[13], w[11], w[12]);
        }
    }
}

THM_INLINE void thm_row_3x3_1(const int32_t *x, const int32_t *table, int8_t *y, int32_t y_step,
                              int32_t even_bytes, int32_t is_odd, int32_t lanes, int32_t rotation)
{
    thm_row_3x3(x, table, y, y_step, even_bytes / y_step + is_odd, lanes, rotation, 1);
}

THM_INLINE void thm_row_3x3_2(const int32_t *x, const int32_t *table, int8_t *y, int32_t y_step,
                              int32_t even_bytes, int32_t is_odd, int32_t lanes, int32_t rotation)
{
    thm_row_3x3(x, table, y, y_step, even_bytes / y_step + is_odd, lanes, rotation, 2);
}
#endif

#endif

#endif
