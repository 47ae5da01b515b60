/* y[oy][ox][c] = clamp(requantize(bias[c] + sum w[ky][kx][c] * (x[iy][ix][c] - x_zero)) + y_zero)
 *
 * DEPTHWISE_CONV_2D for the DSP extension, one output a channel, filters of any size that `table` and
 * `planes` hold. Four channels at a time, in strips of columns: each row of x is taken apart once
 * (arch/planar.h) into a ring of slots, as many as the filter reaches over. iy = oy * stride_h - pad_top +
 * ky * dilation_h, ix likewise; dilated columns are zeros in w. x [in_h][in_w][channels],
 * y [..][out_w][channels].
 */
#ifndef THM_DEPTHWISE_CONV_2D_PLANAR_H
#define THM_DEPTHWISE_CONV_2D_PLANAR_H

#include "arch/planar.h"

#define THM_PLANAR_PLANES 312
#define THM_PLANAR_TAPS 64 /* pairs of taps, each row rounded up to pairs and one more */

typedef struct {
    int32_t in_h, in_w, channels, out_w;
    int32_t filter_h, stride_h, stride_w, dilation_h, pad_top, pad_left;
    int32_t x_ring, y_ring;
    int32_t x_zero, output_offset, act_min, act_max;
    int32_t words; /* pairs of taps of a row of the filter */
    int32_t strip; /* columns of y at a time */
    int32_t pitch; /* pairs of columns of x that a strip reads */
} thm_depthwise_conv_2d_planar_s8_params;

/* Outputs of one channel at `width` columns. x: its planes; the row of slot `slot` is the filter's first.
 * table: the pairs of taps {w0 w1}, {w2 w3} .. and {0 w0}, {w1 w2} .. for odd columns, by turns. */
THM_INLINE void thm_planar_outputs(const thm_depthwise_conv_2d_planar_s8_params *p,
                                   const int32_t *x, int32_t slots, int32_t slot,
                                   const int32_t *table, const int32_t *record, int32_t width,
                                   int8_t *y)
{
    const int32_t rounding = thm_lsl_byte(2 * p->output_offset + 1, record[0]);
    for (int32_t i = 0; i < width; i += 2) {
        /* Two columns at a time, the last of an odd number twice. */
        const int32_t j = i + 1 < width ? i + 1 : i;
        const int32_t column_a = i * p->stride_w, column_b = j * p->stride_w;
        int32_t a = record[0] >> 8, b = a, s = slot;
        const int32_t *w = table;
        for (int32_t ky = 0; ky < p->filter_h; ky++) {
            const int32_t *xa = x + s * p->pitch + column_a / 2;
            const int32_t *xb = x + s * p->pitch + column_b / 2;
            const int32_t *wa = w + column_a % 2, *wb = w + column_b % 2;
            w += 2 * p->words;
            do {
                a = thm_smlad(*xa++, *wa, a);
                b = thm_smlad(*xb++, *wb, b);
                wa += 2;
                wb += 2;
            } while (wa < w);
            s += p->dilation_h;
            s = s >= slots ? s - slots : s;
        }
        y[j * p->channels] = thm_requantize_record(2 * b, b, record[0], record[1], rounding);
        y[i * p->channels] = thm_requantize_record(2 * a, a, record[0], record[1], rounding);
    }
}

/* w [channels][filter_h][2 * words + 1], the first and the last of a row zeros; records [channels][2] with the
 * input offset folded in. */
THM_KERNEL void thm_depthwise_conv_2d_planar_s8(const thm_depthwise_conv_2d_planar_s8_params *p,
                                                int32_t y_first, int32_t y_count, const int8_t *x,
                                                const int8_t *w, const int32_t *records, int8_t *y)
{
    int32_t planes[THM_PLANAR_PLANES], table[2 * THM_PLANAR_TAPS];
    const int32_t slots = (p->filter_h - 1) * p->dilation_h + 1;
    for (int32_t c = 0; c < p->channels; c += 4) {
        const int32_t lanes = p->channels % 4 == 0 ? 4 : thm_min(4, p->channels - c);
        for (int32_t ox = 0; ox < p->out_w; ox += p->strip) {
            const int32_t width = thm_min(p->strip, p->out_w - ox);
            thm_planar g = {
                .channels = p->channels,
                .lanes = lanes,
                .words = (width - 1) * p->stride_w / 2 + p->words,
                .pitch = slots * p->pitch,
                .x_zero = p->x_zero,
            };
            thm_planar_columns(&g, p->in_w, ox * p->stride_w - p->pad_left);
            for (int32_t s = 0; s < slots; s++) {
                thm_planar_border(&g, planes + s * p->pitch);
            }
            /* The slot that row `next` goes to, and row iy lies in. */
            int32_t iy = y_first * p->stride_h - p->pad_top, next = iy, slot = 0;
            for (int32_t oy = y_first; oy < y_first + y_count; oy++, iy += p->stride_h) {
                next = thm_max(next, iy);
                for (; next < iy + slots; next++) {
                    const int8_t *row = 0;
                    if (next >= 0 && next < p->in_h) {
                        row = x + thm_ring(next, p->x_ring) * p->in_w * p->channels + c;
                    }
                    thm_planar_row(&g, row, planes + slot * p->pitch);
                    slot = slot + 1 == slots ? 0 : slot + 1;
                }
                int8_t *to = y + (thm_ring(oy, p->y_ring) * p->out_w + ox) * p->channels + c;
                for (int32_t lane = 0; lane < lanes; lane++) {
                    const int8_t *row = w + (c + lane) * p->filter_h * (2 * p->words + 1);
                    int32_t *pairs = table;
                    for (int32_t ky = 0; ky < p->filter_h; ky++, row++) {
                        for (int32_t i = 0; i < p->words; i++, row += 2, pairs += 2) {
                            pairs[0] = thm_pkhbt(row[1], row[2]);
                            pairs[1] = thm_pkhbt(row[0], row[1]);
                        }
                    }
                    thm_planar_outputs(p, planes + lane * g.pitch, slots, slot, table,
                                       records + 2 * (c + lane), width, to + lane);
                }
            }
        }
    }
    for (int32_t oy = y_first; oy < y_first + y_count; oy++) {
        thm_clamp_row(y + thm_ring(oy, p->y_ring) * p->out_w * p->channels, p->out_w * p->channels,
                      p->act_min, p->act_max);
    }
}

#endif
