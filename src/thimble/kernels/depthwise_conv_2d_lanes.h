/* y[oy][ox][c] = clamp(requantize(bias[c] + sum w[ky][kx][c] * (x[iy][ix][c] + x_offset)) + y_zero)
 *
 * DEPTHWISE_CONV_2D with one output for each input channel, `lanes` of them at a time; geometry as in
 * depthwise_conv_2d.h. Taps outside the image read x_zero, whose products the bias already holds. Channels
 * that are a proper divisor of `lanes` are repeated, so that a vector holds several positions. Where
 * windows cross the border, or vectors the end of a row, the rows are copied to scratch
 * [..][columns][in_c] (padded_rows.h), and 2 * lanes spare bytes.
 *
 * w [blocks][taps / k_block][lanes][k_block], zeros beyond the last tap; records [blocks][3][lanes]:
 * biases, multipliers, shifts. Lanes are in the order that interleaving by 128 bits leaves: channel
 * 16 * l + 4 * q + i of a block at place (q * lanes / 16 + l) * 4 + i, for q and i below 4.
 */
#ifndef THM_DEPTHWISE_CONV_2D_LANES_H
#define THM_DEPTHWISE_CONV_2D_LANES_H

#include "arch/depthwise_lanes.h"
#include "padded_rows.h"

typedef struct {
    int32_t in_h, in_w, in_c, out_w;
    int32_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t x_ring, y_ring;
    int32_t x_zero, x_offset, output_offset, act_min, act_max;
    int32_t lanes, k_block;
    int32_t together; /* positions in a vector */
    int32_t columns;  /* of a copied row, 0: rows are read where they lie */
} thm_depthwise_conv_2d_lanes_s8_params;

THM_KERNEL void thm_depthwise_conv_2d_lanes_s8(const thm_depthwise_conv_2d_lanes_s8_params *p,
                                               int32_t y_first, int32_t y_count, const int8_t *x,
                                               const int8_t *w, const int32_t *records,
                                               int8_t *scratch, int8_t *y)
{
    const int32_t span = (p->filter_h - 1) * p->dilation_h + 1;
    const thm_padded_rows g = {p->in_h,    p->in_w,     p->in_c,   p->x_ring,  0,   p->in_c,
                               p->pad_top, p->pad_left, p->x_zero, p->columns, span};
    const int32_t x_row = (p->columns ? p->columns : p->in_w) * p->in_c;
    const int32_t ring = p->columns ? span : p->x_ring;
    thm_depthwise_lanes t = {
        .x_step = p->stride_w * p->in_c,
        .row_step = p->dilation_h * x_row,
        .column_step = p->dilation_w * p->in_c,
        .ring = (p->columns ? ring : ring < p->in_h ? ring : 0) * x_row,
        .taps_h = p->filter_h,
        .taps_w = p->filter_w,
        .w = w,
        .records = records,
        .channels = p->in_c,
        .lanes = p->lanes,
        .k_block = p->k_block,
        .together = p->together,
        .x_offset = p->x_offset,
        .output_offset = p->output_offset,
        .act_min = p->act_min,
        .act_max = p->act_max,
        .positions = p->out_w,
    };
    /* Rows that are read where they lie go together, a block of channels at a time. */
    const int32_t is_whole = !p->columns && p->x_ring >= p->in_h && p->y_ring >= y_first + y_count;
    const int32_t band = is_whole ? y_count : 1;
    int32_t next = INT32_MIN;
    for (int32_t oy = y_first; oy < y_first + y_count; oy += band) {
        const int32_t iy = oy * p->stride_h - p->pad_top;
        t.x = x;
        t.first = thm_ring(thm_max(iy, 0), p->x_ring) * x_row;
        if (p->columns) {
            next = thm_padded_rows_until(&g, x, next, iy, scratch);
            t.x = scratch;
            t.first = (iy + p->pad_top) % ring * x_row;
        }
        t.rows = band;
        t.band_step = p->stride_h * x_row;
        t.y = y + thm_ring(oy, p->y_ring) * p->out_w * p->in_c;
        thm_depthwise_lanes_s8(&t);
    }
}

#endif
