/* y[oy][ox][o] = clamp(requantize(bias[o] + sum w[o][ky][kx][c] * (x[iy][ix][c] + x_offset)) + y_zero)
 *
 * CONV_2D and FULLY_CONNECTED for cores whose vectors hold `lanes` sums of different outputs; words and
 * geometry as in conv_2d.h. Taps outside the image read x_zero, whose products the bias already holds.
 * Where windows cross the border, or a run is no multiple of k_block, `columns` is not 0 and the rows that
 * windows reach are copied with their padding to scratch [..][columns][depth], and k_block spare bytes.
 *
 * w [outputs / lanes][runs][length / k_block][lanes][k_block], zeros beyond the end (packing.py): products
 * that lie side by side in x are one run, a row of the filter or one of its taps. records
 * [outputs / lanes][3][lanes]: biases, multipliers, shifts.
 */
#ifndef THM_CONV_2D_LANES_H
#define THM_CONV_2D_LANES_H

#include "arch/lanes.h"
#include "padded_rows.h"

typedef struct {
    int32_t in_h, in_w, in_c, out_w, out_c;
    int32_t x_channel, depth, y_channel, outputs;
    int32_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t x_ring, y_ring, out_h;
    int32_t x_zero, x_offset, output_offset, act_min, act_max;
    int32_t lanes, k_block;
    int32_t columns; /* of a copied row, 0: rows are read where they lie */
} thm_conv_2d_lanes_s8_params;

THM_KERNEL void thm_conv_2d_lanes_s8(const thm_conv_2d_lanes_s8_params *p, int32_t y_first,
                                     int32_t y_count, const int8_t *x, const int8_t *w,
                                     const int32_t *records, int8_t *scratch, int8_t *y)
{
    const int32_t span_h = (p->filter_h - 1) * p->dilation_h;
    const thm_padded_rows g = {p->in_h,    p->in_w,     p->in_c,   p->x_ring,  p->x_channel, p->depth,
                               p->pad_top, p->pad_left, p->x_zero, p->columns, span_h + 1};
    const int32_t pixel = p->columns ? p->depth : p->in_c; /* bytes from column to column */
    const int32_t x_row = (p->columns ? p->columns : p->in_w) * pixel;
    const int32_t ring = p->columns ? span_h + 1 : p->x_ring;
    const int8_t *image = p->columns ? scratch : x + p->x_channel;
    const int32_t is_run = (p->dilation_w == 1 && p->depth == pixel) || p->filter_w == 1;
    /* A pointwise layer over whole tensors is one long row. */
    const int32_t is_flat = !p->columns && p->filter_h == 1 && p->filter_w == 1 && p->stride_h == 1 &&
                            p->stride_w == 1 && p->x_ring >= p->in_h && p->y_ring >= p->out_h &&
                            p->in_w == p->out_w;
    thm_lanes_tile t = {
        .x_step = p->stride_w * pixel,
        .rows = p->filter_h,
        .row_step = p->dilation_h * x_row,
        .x_end = image + ring * x_row,
        .x_wrap = ring < p->in_h || p->columns ? ring * x_row : 0,
        .runs = is_run ? 1 : p->filter_w,
        .run_step = p->dilation_w * pixel,
        .length = is_run ? p->filter_w * p->depth : p->depth,
        .w = w,
        .records = records,
        .outputs = p->outputs,
        .lanes = p->lanes,
        .k_block = p->k_block,
        .x_offset = p->x_offset,
        .output_offset = p->output_offset,
        .act_min = p->act_min,
        .act_max = p->act_max,
        .y_step = p->out_c,
    };
    const int32_t rows = is_flat ? 1 : y_count;
    const int32_t positions = is_flat ? y_count * p->out_w : p->out_w;
    int32_t next = INT32_MIN;
    for (int32_t oy = y_first; oy < y_first + rows; oy++) {
        const int32_t iy = oy * p->stride_h - p->pad_top;
        int32_t slot = thm_ring(thm_max(iy, 0), p->x_ring);
        if (p->columns) {
            next = thm_padded_rows_until(&g, x, next, iy, scratch);
            slot = (iy + p->pad_top) % ring;
        }
        t.x = image + slot * x_row;
        t.y = y + thm_ring(oy, p->y_ring) * p->out_w * p->out_c + p->y_channel;
        thm_lanes_s8(&t, positions);
    }
}

#endif
