/* y[oy][ox][c] = clamp(requantize(bias[c] + sum w[ky][kx][c] * (x[iy][ix][c] - x_zero)) + y_zero)
 *
 * DEPTHWISE_CONV_2D for the DSP extension: 3 x 3 taps, one output a channel, stride_w 1 or 2. Four channels
 * at a time, in strips of columns: each row of x is taken apart once (arch/planar.h) into a ring of three
 * slots. iy = oy * stride_h - pad_top + ky, ix likewise. x [in_h][in_w][channels], y [..][out_w][channels].
 */
#ifndef THM_DEPTHWISE_CONV_2D_3X3_H
#define THM_DEPTHWISE_CONV_2D_3X3_H

#include "arch/planar.h"
#include "arch/rows_3x3.h"

typedef struct {
    int32_t in_h, in_w, channels, out_w;
    int32_t stride_h, stride_w, pad_top, pad_left;
    int32_t x_ring, y_ring;
    int32_t x_zero, output_offset, act_min, act_max;
} thm_depthwise_conv_2d_3x3_s8_params;

/* w [channels][3], each word the bytes {w0, w1, w1, w2} of a row of the filter; records [channels][2] with
 * the input offset folded in. */
THM_KERNEL void thm_depthwise_conv_2d_3x3_s8(const thm_depthwise_conv_2d_3x3_s8_params *p,
                                             int32_t y_first, int32_t y_count, const int8_t *x,
                                             const int32_t *w, const int32_t *records, int8_t *y)
{
    int32_t planes[4 * THM_3X3_LANE], table[4 * THM_3X3_TABLE];
    const int32_t x_row = p->in_w * p->channels, center = 2 * p->output_offset + 1;
    const int32_t strip = p->stride_w == 1 ? 2 * THM_3X3_WORDS - 2 : THM_3X3_WORDS - 2;
    for (int32_t c = 0; c < p->channels; c += 4) {
        const int32_t lanes = p->channels % 4 == 0 ? 4 : thm_min(4, p->channels - c);
        for (int32_t lane = 0; lane < lanes; lane++) {
            thm_table_3x3(w + 3 * (c + lane), records + 2 * (c + lane), center,
                          table + lane * THM_3X3_TABLE);
        }
        for (int32_t ox = 0; ox < p->out_w; ox += strip) {
            const int32_t width = thm_min(strip, p->out_w - ox);
            const int32_t even_bytes = (width & ~1) * p->channels;
            thm_planar g = {
                .channels = p->channels,
                .lanes = lanes,
                .words = ((width - 1) * p->stride_w + 4) / 2,
                .pitch = THM_3X3_LANE,
                .x_zero = p->x_zero,
            };
            thm_planar_columns(&g, p->in_w, ox * p->stride_w - p->pad_left);
            for (int32_t s = 0; s < 3; s++) {
                thm_planar_border(&g, planes + s * THM_3X3_WORDS);
            }
            int32_t iy = y_first * p->stride_h - p->pad_top, next = iy;
            /* The slot that row `next` goes to, and row iy lies in. */
            int32_t slot = 0;
            for (int32_t oy = y_first; oy < y_first + y_count; oy++, iy += p->stride_h) {
                if (next < iy) {
                    next = iy;
                }
                for (; next < iy + 3; next++) {
                    const int8_t *row = 0;
                    if (next >= 0 && next < p->in_h) {
                        row = x + thm_ring(next, p->x_ring) * x_row + c;
                    }
                    thm_planar_row(&g, row, planes + slot * THM_3X3_WORDS);
                    slot = slot == 2 ? 0 : slot + 1;
                }
                /* Row iy lies in `slot`: slot s holds row s - slot of the filter, modulo 3. */
                int8_t *to = y + (thm_ring(oy, p->y_ring) * p->out_w + ox) * p->channels + c;
                const int32_t rotation = slot == 0 ? 0 : (3 - slot) * THM_3X3_ROW_BYTES;
                if (p->stride_w == 1) {
                    thm_row_3x3_1(planes, table, to, p->channels, even_bytes, width & 1, lanes,
                                  rotation);
                } else {
                    thm_row_3x3_2(planes, table, to, p->channels, even_bytes, width & 1, lanes,
                                  rotation);
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
