/* y[oy][ox][c * m + i] = clamp(requantize(bias + sum w[ky][kx][c * m + i] * (x[iy][ix][c] - x_zero)) + y_zero)
 *
 * m = channel_multiplier; iy = oy * stride_h - pad_top + ky * dilation_h, ix likewise; taps outside the
 * image add nothing: the filter is cut to the taps inside before the channels are walked.
 * x [in_h][in_w][in_c], w [filter_h][filter_w][out_c], y [..][out_w][out_c].
 */
#ifndef THM_DEPTHWISE_CONV_2D_H
#define THM_DEPTHWISE_CONV_2D_H

#include "arch/arch.h"
#include "window.h"

typedef struct {
    int32_t in_h, in_w, in_c, out_w, out_c, channel_multiplier;
    int32_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t x_ring, y_ring;
    int32_t input_offset, output_offset, act_min, act_max, per_channel;
} thm_depthwise_conv_2d_s8_params;

THM_KERNEL void thm_depthwise_conv_2d_s8(const thm_depthwise_conv_2d_s8_params *p,
                                         int32_t y_first, int32_t y_count, const int8_t *x,
                                         const int8_t *w, const int32_t *bias,
                                         const int32_t *multiplier, const int8_t *shift, int8_t *y)
{
    const int32_t x_row = p->in_w * p->in_c;
    for (int32_t oy = y_first; oy < y_first + y_count; oy++) {
        const int32_t iy = oy * p->stride_h - p->pad_top;
        const int32_t ky_first = thm_first_tap(iy, p->dilation_h);
        const int32_t ky_end = thm_end_tap(iy, p->dilation_h, p->filter_h, p->in_h);
        int8_t *y_row = y + thm_ring(oy, p->y_ring) * p->out_w * p->out_c;
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            const int32_t ix = ox * p->stride_w - p->pad_left;
            const int32_t kx_first = thm_first_tap(ix, p->dilation_w);
            const int32_t kx_end = thm_end_tap(ix, p->dilation_w, p->filter_w, p->in_w);
            const thm_depthwise_tile t = {
                .x = x + (ix + kx_first * p->dilation_w) * p->in_c,
                .x_first = thm_ring(thm_max(iy + ky_first * p->dilation_h, 0), p->x_ring) * x_row,
                .x_row_step = p->dilation_h * x_row,
                .x_ring = p->x_ring < p->in_h ? p->x_ring * x_row : 0,
                .x_column_step = p->dilation_w * p->in_c,
                .w = w + (ky_first * p->filter_w + kx_first) * p->out_c,
                .w_row_step = p->filter_w * p->out_c,
                .taps_h = ky_end - ky_first,
                .taps_w = kx_end - kx_first,
                .bias = bias,
                .multiplier = multiplier,
                .shift = shift,
                .per_channel = p->per_channel,
                .channels = p->out_c,
                .channel_multiplier = p->channel_multiplier,
                .input_offset = p->input_offset,
                .output_offset = p->output_offset,
                .act_min = p->act_min,
                .act_max = p->act_max,
                .y = y_row + ox * p->out_c,
            };
            thm_depthwise_tile_s8(&t);
        }
    }
}

typedef struct {
    int32_t in_h, in_w, in_c, out_w, out_c, channel_multiplier;
    int32_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t x_ring, y_ring;
    int32_t act_min, act_max, per_channel;
} thm_depthwise_conv_2d_s16_params;

/* x, y int16 with zero point 0; bias int64; int64 accumulator and 16-bit multiplier. */
THM_KERNEL void thm_depthwise_conv_2d_s16(const thm_depthwise_conv_2d_s16_params *p,
                                          int32_t y_first, int32_t y_count, const int16_t *x,
                                          const int8_t *w, const int64_t *bias,
                                          const int32_t *multiplier, const int8_t *shift,
                                          int16_t *y)
{
    for (int32_t oy = y_first; oy < y_first + y_count; oy++) {
        const int32_t iy = oy * p->stride_h - p->pad_top;
        const int32_t ky_first = thm_first_tap(iy, p->dilation_h);
        const int32_t ky_end = thm_end_tap(iy, p->dilation_h, p->filter_h, p->in_h);
        int16_t *y_row = y + thm_ring(oy, p->y_ring) * p->out_w * p->out_c;
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            const int32_t ix = ox * p->stride_w - p->pad_left;
            const int32_t kx_first = thm_first_tap(ix, p->dilation_w);
            const int32_t kx_end = thm_end_tap(ix, p->dilation_w, p->filter_w, p->in_w);
            for (int32_t o = 0; o < p->out_c; o++) {
                const int32_t channel = o / p->channel_multiplier;
                int64_t acc = bias[o];
                for (int32_t ky = ky_first; ky < ky_end; ky++) {
                    const int32_t sy = thm_ring(iy + ky * p->dilation_h, p->x_ring);
                    for (int32_t kx = kx_first; kx < kx_end; kx++) {
                        const int32_t sx = ix + kx * p->dilation_w;
                        acc += (int32_t)w[(ky * p->filter_w + kx) * p->out_c + o] *
                               x[(sy * p->in_w + sx) * p->in_c + channel];
                    }
                }
                const int32_t c = p->per_channel ? o : 0;
                const int32_t q = thm_requantize64(acc, multiplier[c], shift[c]);
                y_row[ox * p->out_c + o] = (int16_t)thm_clamp(q, p->act_min, p->act_max);
            }
        }
    }
}

typedef struct {
    int32_t in_h, in_w, in_c, out_w, out_c, channel_multiplier;
    int32_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t x_ring, y_ring;
    float act_min, act_max;
} thm_depthwise_conv_2d_f32_params;

/* Accumulates ky, kx ascending, bias last, as TFLM does. */
THM_KERNEL void thm_depthwise_conv_2d_f32(const thm_depthwise_conv_2d_f32_params *p,
                                          int32_t y_first, int32_t y_count, const float *x,
                                          const float *w, const float *bias, float *y)
{
    for (int32_t oy = y_first; oy < y_first + y_count; oy++) {
        const int32_t iy = oy * p->stride_h - p->pad_top;
        const int32_t ky_first = thm_first_tap(iy, p->dilation_h);
        const int32_t ky_end = thm_end_tap(iy, p->dilation_h, p->filter_h, p->in_h);
        float *y_row = y + thm_ring(oy, p->y_ring) * p->out_w * p->out_c;
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            const int32_t ix = ox * p->stride_w - p->pad_left;
            const int32_t kx_first = thm_first_tap(ix, p->dilation_w);
            const int32_t kx_end = thm_end_tap(ix, p->dilation_w, p->filter_w, p->in_w);
            for (int32_t o = 0; o < p->out_c; o++) {
                const int32_t channel = o / p->channel_multiplier;
                float acc = 0.0f;
                for (int32_t ky = ky_first; ky < ky_end; ky++) {
                    const int32_t sy = thm_ring(iy + ky * p->dilation_h, p->x_ring);
                    for (int32_t kx = kx_first; kx < kx_end; kx++) {
                        const int32_t sx = ix + kx * p->dilation_w;
                        acc += x[(sy * p->in_w + sx) * p->in_c + channel] *
                               w[(ky * p->filter_w + kx) * p->out_c + o];
                    }
                }
                y_row[ox * p->out_c + o] = thm_clamp_f32(acc + bias[o], p->act_min, p->act_max);
            }
        }
    }
}

#endif
