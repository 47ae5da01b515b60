/* y[oy][ox][c] = clamp(average or maximum of x[iy][ix][c] over the window inside the image)
 *
 * iy in [oy * stride_h - pad_top, .. + filter_h), ix likewise; x [in_h][in_w][channels],
 * y [..][out_w][channels]. The divisor is the number of elements inside the image. With clipped = 0
 * every window lies inside. Channels go four at a time, so that their sums stay in registers.
 * y must not overlap x.
 */
#ifndef THM_POOL_2D_H
#define THM_POOL_2D_H

#include "thm.h"
#if defined(__ARM_FEATURE_MVE)
#include "arch/mve_elementwise.h"
#endif

/* The words that all kernels here share, so that one body serves average and maximum. */
typedef struct {
    int32_t in_h, in_w, channels, out_w;
    int32_t filter_h, filter_w, stride_h, stride_w, pad_top, pad_left, clipped;
    int32_t x_ring, y_ring;
} thm_pool_2d;

#define THM_POOL_2D(p)                                                                             \
    {                                                                                              \
        (p)->in_h, (p)->in_w, (p)->channels, (p)->out_w, (p)->filter_h, (p)->filter_w,             \
            (p)->stride_h, (p)->stride_w, (p)->pad_top, (p)->pad_left, (p)->clipped,               \
            (p)->x_ring, (p)->y_ring                                                               \
    }

/* Rows [y0, y1) and columns [x0, x1) of the image: the part of a window that lies inside. */
typedef struct {
    int32_t y0, y1, x0, x1;
} thm_pool_window;

THM_INLINE thm_pool_window thm_pool_2d_window(const thm_pool_2d *g, int32_t oy, int32_t ox)
{
    const int32_t iy = oy * g->stride_h - g->pad_top, ix = ox * g->stride_w - g->pad_left;
    thm_pool_window t = {iy, iy + g->filter_h, ix, ix + g->filter_w};
    if (g->clipped) {
        t.y0 = thm_max(t.y0, 0);
        t.y1 = thm_min(t.y1, g->in_h);
        t.x0 = thm_max(t.x0, 0);
        t.x1 = thm_min(t.x1, g->in_w);
    }
    return t;
}

/* sum / n, rounded half away from zero */
THM_INLINE int32_t thm_pool_divide(int32_t sum, int32_t n)
{
    return (sum > 0 ? sum + n / 2 : sum - n / 2) / n;
}

/* acc[lanes] = sum or maximum over the window, of channels [c, c + lanes), lanes 1 or 4 */
THM_INLINE void thm_pool_2d_window_s8(const thm_pool_2d *g, int32_t is_max, thm_pool_window t,
                                      int32_t c, int32_t lanes, const int8_t *x, int32_t *acc)
{
    int32_t a0 = is_max ? INT8_MIN : 0, a1 = a0, a2 = a0, a3 = a0;
    for (int32_t sy = t.y0; sy < t.y1; sy++) {
        const int8_t *v = x + (thm_ring(sy, g->x_ring) * g->in_w + t.x0) * g->channels + c;
        for (int32_t sx = t.x0; sx < t.x1; sx++, v += g->channels) {
            a0 = is_max ? thm_max(a0, v[0]) : a0 + v[0];
            if (lanes == 4) {
                a1 = is_max ? thm_max(a1, v[1]) : a1 + v[1];
                a2 = is_max ? thm_max(a2, v[2]) : a2 + v[2];
                a3 = is_max ? thm_max(a3, v[3]) : a3 + v[3];
            }
        }
    }
    acc[0] = a0;
    if (lanes == 4) {
        acc[1] = a1;
        acc[2] = a2;
        acc[3] = a3;
    }
}

THM_INLINE int8_t thm_pool_2d_finish_s8(int32_t acc, int32_t n, int32_t is_max, int32_t act_min,
                                        int32_t act_max)
{
    const int32_t value = is_max ? acc : thm_pool_divide(acc, n);
    return (int8_t)thm_clamp(value, act_min, act_max);
}

THM_INLINE void thm_pool_2d_rows_s8(const thm_pool_2d g, int32_t is_max, int32_t act_min,
                                    int32_t act_max, int32_t y_first, int32_t y_count,
                                    const int8_t *x, int8_t *y)
{
    for (int32_t oy = y_first; oy < y_first + y_count; oy++) {
        int8_t *to = y + thm_ring(oy, g.y_ring) * g.out_w * g.channels;
        for (int32_t ox = 0; ox < g.out_w; ox++, to += g.channels) {
            const thm_pool_window t = thm_pool_2d_window(&g, oy, ox);
            const int32_t n = (t.y1 - t.y0) * (t.x1 - t.x0);
            int32_t c = 0;
#if defined(__ARM_FEATURE_MVE)
            const int32_t is_ring = g.x_ring < g.in_h;
            for (; n <= 255 && !is_ring && c < g.channels; c += 8) { /* sums fit 16 bits */
                const int16_t first = is_max ? INT8_MIN : 0;
                int16_t acc[8] = { first, first, first, first, first, first, first, first };
                thm_mve_pool_s8(x + (t.y0 * g.in_w + t.x0) * g.channels + c, g.channels,
                                g.in_w * g.channels, t.y1 - t.y0, t.x1 - t.x0, is_max,
                                vctp16q((uint32_t)(g.channels - c)), acc);
                for (int32_t i = 0; i < thm_min(g.channels - c, 8); i++) {
                    to[c + i] = thm_pool_2d_finish_s8(acc[i], n, is_max, act_min, act_max);
                }
            }
#endif
            for (; c + 4 <= g.channels; c += 4) {
                int32_t acc[4];
                thm_pool_2d_window_s8(&g, is_max, t, c, 4, x, acc);
                to[c] = thm_pool_2d_finish_s8(acc[0], n, is_max, act_min, act_max);
                to[c + 1] = thm_pool_2d_finish_s8(acc[1], n, is_max, act_min, act_max);
                to[c + 2] = thm_pool_2d_finish_s8(acc[2], n, is_max, act_min, act_max);
                to[c + 3] = thm_pool_2d_finish_s8(acc[3], n, is_max, act_min, act_max);
            }
            for (; c < g.channels; c++) {
                int32_t acc;
                thm_pool_2d_window_s8(&g, is_max, t, c, 1, x, &acc);
                to[c] = thm_pool_2d_finish_s8(acc, n, is_max, act_min, act_max);
            }
        }
    }
}

typedef struct {
    int32_t in_h, in_w, channels, out_w;
    int32_t filter_h, filter_w, stride_h, stride_w, pad_top, pad_left, clipped;
    int32_t x_ring, y_ring;
    int32_t act_min, act_max;
} thm_average_pool_2d_s8_params;

/* Averages raw values: input and output have one scale and zero point. */
THM_KERNEL void thm_average_pool_2d_s8(const thm_average_pool_2d_s8_params *p, int32_t y_first,
                                       int32_t y_count, const int8_t *x, int8_t *y)
{
    const thm_pool_2d g = THM_POOL_2D(p);
    thm_pool_2d_rows_s8(g, 0, p->act_min, p->act_max, y_first, y_count, x, y);
}

typedef struct {
    int32_t in_h, in_w, channels, out_w;
    int32_t filter_h, filter_w, stride_h, stride_w, pad_top, pad_left, clipped;
    int32_t x_ring, y_ring;
    int32_t act_min, act_max;
} thm_max_pool_2d_s8_params;

THM_KERNEL void thm_max_pool_2d_s8(const thm_max_pool_2d_s8_params *p, int32_t y_first,
                                   int32_t y_count, const int8_t *x, int8_t *y)
{
    const thm_pool_2d g = THM_POOL_2D(p);
    thm_pool_2d_rows_s8(g, 1, p->act_min, p->act_max, y_first, y_count, x, y);
}

/* acc[lanes] = sum or maximum over the window, of channels [c, c + lanes), lanes 1 or 4 */
THM_INLINE void thm_pool_2d_window_s16(const thm_pool_2d *g, int32_t is_max, thm_pool_window t,
                                       int32_t c, int32_t lanes, const int16_t *x, int32_t *acc)
{
    int32_t a0 = is_max ? INT16_MIN : 0, a1 = a0, a2 = a0, a3 = a0;
    for (int32_t sy = t.y0; sy < t.y1; sy++) {
        const int16_t *v = x + (thm_ring(sy, g->x_ring) * g->in_w + t.x0) * g->channels + c;
        for (int32_t sx = t.x0; sx < t.x1; sx++, v += g->channels) {
            a0 = is_max ? thm_max(a0, v[0]) : a0 + v[0];
            if (lanes == 4) {
                a1 = is_max ? thm_max(a1, v[1]) : a1 + v[1];
                a2 = is_max ? thm_max(a2, v[2]) : a2 + v[2];
                a3 = is_max ? thm_max(a3, v[3]) : a3 + v[3];
            }
        }
    }
    acc[0] = a0;
    if (lanes == 4) {
        acc[1] = a1;
        acc[2] = a2;
        acc[3] = a3;
    }
}

THM_INLINE int16_t thm_pool_2d_finish_s16(int32_t acc, int32_t n, int32_t is_max, int32_t act_min,
                                          int32_t act_max)
{
    const int32_t value = is_max ? acc : thm_pool_divide(acc, n);
    return (int16_t)thm_clamp(value, act_min, act_max);
}

THM_INLINE void thm_pool_2d_rows_s16(const thm_pool_2d g, int32_t is_max, int32_t act_min,
                                     int32_t act_max, int32_t y_first, int32_t y_count,
                                     const int16_t *x, int16_t *y)
{
    for (int32_t oy = y_first; oy < y_first + y_count; oy++) {
        int16_t *to = y + thm_ring(oy, g.y_ring) * g.out_w * g.channels;
        for (int32_t ox = 0; ox < g.out_w; ox++, to += g.channels) {
            const thm_pool_window t = thm_pool_2d_window(&g, oy, ox);
            const int32_t n = (t.y1 - t.y0) * (t.x1 - t.x0);
            int32_t c = 0;
            for (; c + 4 <= g.channels; c += 4) {
                int32_t acc[4];
                thm_pool_2d_window_s16(&g, is_max, t, c, 4, x, acc);
                to[c] = thm_pool_2d_finish_s16(acc[0], n, is_max, act_min, act_max);
                to[c + 1] = thm_pool_2d_finish_s16(acc[1], n, is_max, act_min, act_max);
                to[c + 2] = thm_pool_2d_finish_s16(acc[2], n, is_max, act_min, act_max);
                to[c + 3] = thm_pool_2d_finish_s16(acc[3], n, is_max, act_min, act_max);
            }
            for (; c < g.channels; c++) {
                int32_t acc;
                thm_pool_2d_window_s16(&g, is_max, t, c, 1, x, &acc);
                to[c] = thm_pool_2d_finish_s16(acc, n, is_max, act_min, act_max);
            }
        }
    }
}

typedef struct {
    int32_t in_h, in_w, channels, out_w;
    int32_t filter_h, filter_w, stride_h, stride_w, pad_top, pad_left, clipped;
    int32_t x_ring, y_ring;
    int32_t act_min, act_max;
} thm_average_pool_2d_s16_params;

/* Averages raw values: input and output have one scale and zero point. */
THM_KERNEL void thm_average_pool_2d_s16(const thm_average_pool_2d_s16_params *p, int32_t y_first,
                                        int32_t y_count, const int16_t *x, int16_t *y)
{
    const thm_pool_2d g = THM_POOL_2D(p);
    thm_pool_2d_rows_s16(g, 0, p->act_min, p->act_max, y_first, y_count, x, y);
}

typedef struct {
    int32_t in_h, in_w, channels, out_w;
    int32_t filter_h, filter_w, stride_h, stride_w, pad_top, pad_left, clipped;
    int32_t x_ring, y_ring;
    int32_t act_min, act_max;
} thm_max_pool_2d_s16_params;

THM_KERNEL void thm_max_pool_2d_s16(const thm_max_pool_2d_s16_params *p, int32_t y_first,
                                    int32_t y_count, const int16_t *x, int16_t *y)
{
    const thm_pool_2d g = THM_POOL_2D(p);
    thm_pool_2d_rows_s16(g, 1, p->act_min, p->act_max, y_first, y_count, x, y);
}

/* Keeps the old value beside a NaN, as std::max in TFLM does. */
THM_INLINE float thm_pool_max_f32(float a, float b)
{
    return a < b ? b : a;
}

/* acc[lanes] = sum or maximum over the window, of channels [c, c + lanes), lanes 1 or 4 */
THM_INLINE void thm_pool_2d_window_f32(const thm_pool_2d *g, int32_t is_max, thm_pool_window t,
                                       int32_t c, int32_t lanes, const float *x, float *acc)
{
    float a0 = is_max ? -3.40282347e+38f : 0, a1 = a0, a2 = a0, a3 = a0;
    for (int32_t sy = t.y0; sy < t.y1; sy++) {
        const float *v = x + (thm_ring(sy, g->x_ring) * g->in_w + t.x0) * g->channels + c;
        for (int32_t sx = t.x0; sx < t.x1; sx++, v += g->channels) {
            a0 = is_max ? thm_pool_max_f32(a0, v[0]) : a0 + v[0];
            if (lanes == 4) {
                a1 = is_max ? thm_pool_max_f32(a1, v[1]) : a1 + v[1];
                a2 = is_max ? thm_pool_max_f32(a2, v[2]) : a2 + v[2];
                a3 = is_max ? thm_pool_max_f32(a3, v[3]) : a3 + v[3];
            }
        }
    }
    acc[0] = a0;
    if (lanes == 4) {
        acc[1] = a1;
        acc[2] = a2;
        acc[3] = a3;
    }
}

THM_INLINE float thm_pool_2d_finish_f32(float acc, int32_t n, int32_t is_max, float act_min,
                                        float act_max)
{
    const float value = is_max ? acc : acc / (float)n;
    return thm_clamp_f32(value, act_min, act_max);
}

THM_INLINE void thm_pool_2d_rows_f32(const thm_pool_2d g, int32_t is_max, float act_min,
                                     float act_max, int32_t y_first, int32_t y_count,
                                     const float *x, float *y)
{
    for (int32_t oy = y_first; oy < y_first + y_count; oy++) {
        float *to = y + thm_ring(oy, g.y_ring) * g.out_w * g.channels;
        for (int32_t ox = 0; ox < g.out_w; ox++, to += g.channels) {
            const thm_pool_window t = thm_pool_2d_window(&g, oy, ox);
            const int32_t n = (t.y1 - t.y0) * (t.x1 - t.x0);
            int32_t c = 0;
            for (; c + 4 <= g.channels; c += 4) {
                float acc[4];
                thm_pool_2d_window_f32(&g, is_max, t, c, 4, x, acc);
                to[c] = thm_pool_2d_finish_f32(acc[0], n, is_max, act_min, act_max);
                to[c + 1] = thm_pool_2d_finish_f32(acc[1], n, is_max, act_min, act_max);
                to[c + 2] = thm_pool_2d_finish_f32(acc[2], n, is_max, act_min, act_max);
                to[c + 3] = thm_pool_2d_finish_f32(acc[3], n, is_max, act_min, act_max);
            }
            for (; c < g.channels; c++) {
                float acc;
                thm_pool_2d_window_f32(&g, is_max, t, c, 1, x, &acc);
                to[c] = thm_pool_2d_finish_f32(acc, n, is_max, act_min, act_max);
            }
        }
    }
}

typedef struct {
    int32_t in_h, in_w, channels, out_w;
    int32_t filter_h, filter_w, stride_h, stride_w, pad_top, pad_left, clipped;
    int32_t x_ring, y_ring;
    float act_min, act_max;
} thm_average_pool_2d_f32_params;

THM_KERNEL void thm_average_pool_2d_f32(const thm_average_pool_2d_f32_params *p, int32_t y_first,
                                        int32_t y_count, const float *x, float *y)
{
    const thm_pool_2d g = THM_POOL_2D(p);
    thm_pool_2d_rows_f32(g, 0, p->act_min, p->act_max, y_first, y_count, x, y);
}

typedef struct {
    int32_t in_h, in_w, channels, out_w;
    int32_t filter_h, filter_w, stride_h, stride_w, pad_top, pad_left, clipped;
    int32_t x_ring, y_ring;
    float act_min, act_max;
} thm_max_pool_2d_f32_params;

THM_KERNEL void thm_max_pool_2d_f32(const thm_max_pool_2d_f32_params *p, int32_t y_first,
                                    int32_t y_count, const float *x, float *y)
{
    const thm_pool_2d g = THM_POOL_2D(p);
    thm_pool_2d_rows_f32(g, 1, p->act_min, p->act_max, y_first, y_count, x, y);
}

#endif
