/* y[oy][ox][o] = clamp(requantize(bias[o] + sum w[o][ky][kx][c] * (x[iy][ix][c] - x_zero)) + y_zero)
 *
 * CONV_2D whose patches lie side by side: of the rows that a row of outputs needs, `scratch` holds
 * [columns][filter_h][in_c], from column -pad_left on, with x_zero outside the image, so that the patch of
 * output ox is one run of filter_w * filter_h * in_c bytes and neighbours share what they have in common.
 * iy = oy * stride_h - pad_top + ky * dilation_h, ix = ox * stride_w - pad_left + kx.
 * x [in_h][in_w][in_c], y [..][out_w][out_c].
 *
 * The int8 kernel folds the input offset into the bias. `together` rows of outputs are computed at once.
 */
#ifndef THM_CONV_2D_COLUMNS_H
#define THM_CONV_2D_COLUMNS_H

#include "arch/arch.h"

typedef struct {
    int32_t in_h, in_w, in_c, out_w, out_c;
    int32_t filter_h, filter_w, stride_h, stride_w, dilation_h, pad_top, pad_left;
    int32_t x_ring, y_ring;
    int32_t x_zero, output_offset, act_min, act_max, per_channel;
    int32_t oc_block, k_block;
    int32_t columns, together;
} thm_conv_2d_columns_s8_params;

#if defined(__ARM_FEATURE_MVE)
#include "arch/mve_columns.h"
#else
/* `count` columns of in_c bytes, side by side at `from` (or x_zero where that is 0), go to `to`, each `pitch`
 * bytes after the other. */
THM_INLINE void thm_spread_s8(const int8_t *from, int32_t x_zero, int32_t in_c, int32_t count,
                              int8_t *to, int32_t pitch)
{
    for (int32_t i = 0; i < count; i++) {
        if (from) {
            thm_copy_s8(to + i * pitch, from + i * in_c, in_c);
        } else {
            thm_fill_s8(to + i * pitch, x_zero, in_c);
        }
    }
}

/* The outputs of `rows` rows of patches, row_bytes apart. */
THM_INLINE void thm_columns_tile_s8(thm_tile t, int32_t rows, int32_t row_bytes, int32_t out_w)
{
    for (; rows > 0; rows--) {
        thm_tile_s8(t, out_w);
        t.x += row_bytes;
        t.y += out_w * t.y_step;
    }
}
#endif

/* w packed as one segment of [filter_w][filter_h][in_c] products; scratch [together][columns][filter_h][in_c]
 * and k_block more. */
THM_KERNEL void thm_conv_2d_columns_s8(const thm_conv_2d_columns_s8_params *p, int32_t y_first,
                                       int32_t y_count, const int8_t *x, const int8_t *w,
                                       const int32_t *bias, const int32_t *multiplier,
                                       const int8_t *shift, int8_t *scratch, int8_t *y)
{
    const int32_t pitch = p->filter_h * p->in_c, row_bytes = p->columns * pitch;
    const int32_t count = thm_min(p->in_w, p->columns - p->pad_left);
    const int32_t y_end = y_first + y_count;
    thm_tile t = {
        .x = scratch,
        .x_step = p->stride_w * pitch,
        .segments = 1,
        .length = (p->filter_w * pitch + p->k_block - 1) / p->k_block * p->k_block,
        .w = w,
        .bias = bias,
        .multiplier = multiplier,
        .shift = shift,
        .per_channel = p->per_channel,
        .outputs = p->out_c,
        .oc_block = p->oc_block,
        .k_block = p->k_block,
        .output_offset = p->output_offset,
        .act_min = p->act_min,
        .act_max = p->act_max,
        .y_step = p->out_c,
    };
    thm_fill_s8(scratch, p->x_zero, p->together * row_bytes + p->k_block);
    for (int32_t oy = y_first; oy < y_end;) {
        const int32_t slot = thm_ring(oy, p->y_ring);
        const int32_t rows = thm_min(thm_min(p->together, y_end - oy), p->y_ring - slot);
        int8_t *to = scratch + p->pad_left * pitch;
        for (int32_t row = 0; row < rows; row++) {
            int32_t iy = (oy + row) * p->stride_h - p->pad_top;
            for (int32_t ky = 0; ky < p->filter_h; ky++) {
                const int8_t *from = 0;
                if (iy >= 0 && iy < p->in_h) {
                    from = x + thm_ring(iy, p->x_ring) * p->in_w * p->in_c;
                }
                thm_spread_s8(from, p->x_zero, p->in_c, count, to + ky * p->in_c, pitch);
                iy += p->dilation_h;
            }
            to += row_bytes;
        }
        t.y = y + slot * p->out_w * p->out_c;
        thm_columns_tile_s8(t, rows, row_bytes, p->out_w);
        oy += rows;
    }
}

#endif
