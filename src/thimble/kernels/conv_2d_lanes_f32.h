/* y[oy][ox][o] = clamp(sum w[o][ky][kx][c] * x[iy][ix][c] + bias[o]), float32
 *
 * CONV_2D and FULLY_CONNECTED for cores whose vectors hold `lanes` sums of different outputs; every sum is
 * added in the order of conv_2d.h. Where windows cross the border, `columns` is not 0 and the rows that
 * they reach are copied to scratch [..][columns][depth] with zeros outside the image (padded_rows.h), whose
 * products leave sums of finite weights as they are.
 *
 * w [outputs / lanes][filter_h][filter_w][depth][lanes], bias [outputs] and zeros up to a whole block.
 */
#ifndef THM_CONV_2D_LANES_F32_H
#define THM_CONV_2D_LANES_F32_H

#include "arch/lanes_f32.h"
#include "padded_rows.h"

typedef struct {
    int32_t in_h, in_w, in_c, out_w, out_c;
    int32_t x_channel, depth, y_channel, outputs;
    int32_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t x_ring, y_ring, out_h;
    int32_t lanes;
    int32_t columns; /* of a copied row, 0: rows are read where they lie */
    float act_min, act_max;
} thm_conv_2d_lanes_f32_params;

THM_KERNEL void thm_conv_2d_lanes_f32(const thm_conv_2d_lanes_f32_params *p, int32_t y_first,
                                      int32_t y_count, const float *x, const float *w,
                                      const float *bias, float *scratch, float *y)
{
    const int32_t span_h = (p->filter_h - 1) * p->dilation_h;
    const thm_padded_rows g = {
        p->in_h,    p->in_w,     4 * p->in_c, p->x_ring,  4 * p->x_channel, 4 * p->depth,
        p->pad_top, p->pad_left, 0,           p->columns, span_h + 1,
    };
    const int32_t pixel = p->columns ? p->depth : p->in_c; /* elements from column to column */
    const int32_t x_row = (p->columns ? p->columns : p->in_w) * pixel;
    const int32_t ring = p->columns ? span_h + 1 : p->x_ring;
    const float *image = p->columns ? scratch : x + p->x_channel;
    const int32_t is_run = (p->dilation_w == 1 && p->depth == pixel) || p->filter_w == 1;
    /* A pointwise layer over whole tensors is one long row. */
    const int32_t is_flat = !p->columns && p->filter_h == 1 && p->filter_w == 1 && p->stride_h == 1 &&
                            p->stride_w == 1 && p->x_ring >= p->in_h && p->y_ring >= p->out_h &&
                            p->in_w == p->out_w;
    thm_lanes_tile_f32 t = {
        .x_step = p->stride_w * pixel,
        .rows = p->filter_h,
        .row_step = p->dilation_h * x_row,
        .x_end = image + ring * x_row,
        .x_wrap = ring < p->in_h || p->columns ? ring * x_row : 0,
        .runs = is_run ? 1 : p->filter_w,
        .run_step = p->dilation_w * pixel,
        .length = is_run ? p->filter_w * p->depth : p->depth,
        .w = w,
        .bias = bias,
        .outputs = p->outputs,
        .lanes = p->lanes,
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
            next = thm_padded_rows_until(&g, (const int8_t *)x, next, iy, (int8_t *)scratch);
            slot = (iy + p->pad_top) % ring;
        }
        t.x = image + slot * x_row;
        t.y = y + thm_ring(oy, p->y_ring) * p->out_w * p->out_c + p->y_channel;
        thm_lanes_f32(&t, positions);
    }
}

#endif
