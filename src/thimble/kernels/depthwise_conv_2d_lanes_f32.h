/* y[oy][ox][c] = clamp(sum w[ky][kx][c] * x[iy][ix][c] + bias[c]), float32
 *
 * DEPTHWISE_CONV_2D with one output for each input channel: constants, geometry and order of the sums as in
 * depthwise_conv_2d.h, but channels in the lanes of a vector.
 */
#ifndef THM_DEPTHWISE_CONV_2D_LANES_F32_H
#define THM_DEPTHWISE_CONV_2D_LANES_F32_H

#include "arch/lanes_f32.h"
#include "window.h"

typedef struct {
    int32_t in_h, in_w, in_c, out_w;
    int32_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t x_ring, y_ring;
    float act_min, act_max;
} thm_depthwise_conv_2d_lanes_f32_params;

THM_KERNEL void thm_depthwise_conv_2d_lanes_f32(const thm_depthwise_conv_2d_lanes_f32_params *p,
                                                int32_t y_first, int32_t y_count, const float *x,
                                                const float *w, const float *bias, float *y)
{
    const int32_t w_row = p->filter_w * p->in_c, tap_step = p->dilation_w * p->in_c;
    for (int32_t oy = y_first; oy < y_first + y_count; oy++) {
        const int32_t iy = oy * p->stride_h - p->pad_top;
        const int32_t ky_first = thm_first_tap(iy, p->dilation_h);
        const int32_t ky_end = thm_end_tap(iy, p->dilation_h, p->filter_h, p->in_h);
        float *out = y + thm_ring(oy, p->y_ring) * p->out_w * p->in_c;
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            const int32_t ix = ox * p->stride_w - p->pad_left;
            const int32_t kx_first = thm_first_tap(ix, p->dilation_w);
            const int32_t kx_end = thm_end_tap(ix, p->dilation_w, p->filter_w, p->in_w);
            const float *column = x + (ix + kx_first * p->dilation_w) * p->in_c;
            for (int32_t c = 0; c < p->in_c; c += THM_F32_LANES) {
                const int32_t count = thm_min(p->in_c - c, THM_F32_LANES);
                thm_f32s acc = thm_zero_f32s();
                for (int32_t ky = ky_first; ky < ky_end; ky++) {
                    const int32_t sy = thm_ring(iy + ky * p->dilation_h, p->x_ring);
                    const float *from = column + sy * p->in_w * p->in_c + c;
                    const float *tap = w + ky * w_row + kx_first * p->in_c + c;
                    for (int32_t kx = kx_first; kx < kx_end; kx++) {
                        acc += thm_load_some_f32s(from, count) * thm_load_some_f32s(tap, count);
                        from += tap_step;
                        tap += p->in_c;
                    }
                }
                acc += thm_load_some_f32s(bias + c, count);
                thm_store_f32s(out + c, thm_clamp_f32s(acc, p->act_min, p->act_max), count);
            }
            out += p->in_c;
        }
    }
}

#endif
