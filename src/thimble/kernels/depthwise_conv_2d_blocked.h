/* y[oy][ox][c] = clamp(requantize(bias[c] + sum w[ky][kx][c] * x[iy][ix][c]) + y_zero)
 *
 * DEPTHWISE_CONV_2D with one output for each input channel, constants packed in blocks of 16 channels. Taps
 * outside the image read x_zero, whose products the bias already holds. Weights lie above -128, shifts at
 * most at 0. iy = oy * stride_h - pad_top + ky * dilation_h, ix likewise.
 * x [in_h][in_w][in_c], y [..][out_w][in_c].
 *
 * w [blocks][filter_h][filter_w][16]; records [blocks] of 36 words: 16 biases, 16 multipliers and, a byte
 * each, 16 shifts, in the order of channels 0, 4, 8, 12, 1, 5, ... of the block, which is what widening by
 * even and odd lanes leaves. Channels that are a proper divisor of 16 are repeated until a block is full,
 * others are followed by zeros.
 *
 * scratch holds copies of rows with their padding where `copies`; always the addresses of the taps.
 */
#ifndef THM_DEPTHWISE_CONV_2D_BLOCKED_H
#define THM_DEPTHWISE_CONV_2D_BLOCKED_H

#include "arch/arch.h"

#define THM_BLOCK_WORDS 36 /* of a record */

typedef struct {
    int32_t in_h, in_w, in_c, out_w;
    int32_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t x_ring, y_ring;
    int32_t x_zero, output_offset, act_min, act_max;
    int32_t copies;  /* 1: windows may cross the border, or the vector layer prefers copied rows */
    int32_t columns; /* of a copied row: all that windows reach, from -pad_left on */
    int32_t is_down; /* 1: every shift lies below 0 */
} thm_depthwise_conv_2d_blocked_s8_params;

#if defined(__ARM_FEATURE_MVE)
#include "arch/mve_depthwise.h"
#else

THM_INLINE void thm_depthwise_blocked_s8(const thm_depthwise_conv_2d_blocked_s8_params *p,
                                         int32_t y_first, int32_t y_count, const int8_t *x,
                                         const int8_t *w, const int32_t *records,
                                         int8_t *scratch, int8_t *y)
{
    const int32_t taps = p->filter_h * p->filter_w, x_row = p->in_w * p->in_c;
    const int32_t slots = (p->filter_h - 1) * p->dilation_h + 1;
    const int32_t row_bytes = thm_min(p->in_w, p->columns - p->pad_left) * p->in_c;
    /* Rows are read before y is written, which may lie over x; as they are where there is no scratch. */
    const int32_t copies = p->copies && scratch != 0;
    int32_t next = 0;
    for (int32_t oy = y_first; oy < y_first + y_count; oy++) {
        const int32_t top = oy * p->stride_h - p->pad_top;
        for (next = thm_max(next, top); copies && next < thm_min(top + slots, p->in_h); next++) {
            memcpy(scratch + next % slots * row_bytes, x + thm_ring(next, p->x_ring) * x_row,
                   (size_t)row_bytes);
        }
        int8_t *out = y + thm_ring(oy, p->y_ring) * p->out_w * p->in_c;
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            for (int32_t c = 0; c < p->in_c; c++) {
                const int32_t *record = records + c / 16 * THM_BLOCK_WORDS;
                const int32_t at = c % 4 * 4 + c % 16 / 4;
                const int8_t *shift = (const int8_t *)(record + 32);
                int32_t acc = record[at];
                for (int32_t ky = 0; ky < p->filter_h; ky++) {
                    const int32_t iy = top + ky * p->dilation_h;
                    const int8_t *row = copies ? scratch + (iy + slots) % slots * row_bytes
                                               : x + thm_ring(thm_max(iy, 0), p->x_ring) * x_row;
                    for (int32_t kx = 0; kx < p->filter_w; kx++) {
                        const int32_t ix = ox * p->stride_w - p->pad_left + kx * p->dilation_w;
                        const int32_t inside = iy >= 0 && iy < p->in_h && ix >= 0 && ix < p->in_w;
                        const int32_t weight =
                            w[(c / 16 * taps + ky * p->filter_w + kx) * 16 + c % 16];
                        acc += weight * (inside ? row[ix * p->in_c + c] : p->x_zero);
                    }
                }
                acc = thm_requantize(acc, record[16 + at], shift[at]) + p->output_offset;
                *out++ = (int8_t)thm_clamp(acc, p->act_min, p->act_max);
            }
        }
    }
}

#endif

THM_KERNEL void thm_depthwise_conv_2d_blocked_s8(const thm_depthwise_conv_2d_blocked_s8_params *p,
                                                 int32_t y_first, int32_t y_count, const int8_t *x,
                                                 const int8_t *w, const int32_t *records,
                                         int8_t *scratch, int8_t *y)
{
    thm_depthwise_blocked_s8(p, y_first, y_count, x, w, records, scratch, y);
}

#endif
