/* y[o][m][i] = sum, maximum or minimum over (a, b) of x[o][a][m][b][i]
 *
 * A row of x is [outer][red0][mid][red1][inner], a row of y [outer][mid][inner]: every reduction
 * over at most two runs of adjacent axes. MEAN over height and width is outer = red0 = mid = 1 with
 * the channels inner. Inner elements go four at a time: their results stay in registers, and no
 * scratch is needed.
 * y must not overlap x.
 */
#ifndef THM_REDUCE_H
#define THM_REDUCE_H

#include "fixedpoint.h"

#define THM_REDUCE_SUM 0
#define THM_REDUCE_MAX 1
#define THM_REDUCE_MIN 2

/* The words that all kernels here share. */
typedef struct {
    int32_t outer, red0, mid, red1, inner, x_ring, y_ring;
} thm_reduce;

#define THM_REDUCE(p)                                                                              \
    {                                                                                              \
        (p)->outer, (p)->red0, (p)->mid, (p)->red1, (p)->inner, (p)->x_ring, (p)->y_ring           \
    }

/* The sum's factor and offset; extremes are stored as they are. */
typedef struct {
    int32_t multiplier, shift, offset;
} thm_reduce_scale;

THM_INLINE int32_t thm_reduce_step_s8(int32_t acc, int32_t value, int32_t kind)
{
    if (kind == THM_REDUCE_SUM) {
        return acc + value;
    }
    return (kind == THM_REDUCE_MAX ? acc < value : value < acc) ? value : acc;
}

/* acc[lanes] (holding its start) of elements x[0, lanes), x pointing at a = b = 0; lanes 1 or 4 */
THM_INLINE void thm_reduce_lanes_s8(const thm_reduce *g, int32_t kind, int32_t lanes,
                                    const int8_t *x, int32_t *acc)
{
    int32_t a0 = acc[0], a1 = a0, a2 = a0, a3 = a0;
    for (int32_t a = 0; a < g->red0; a++) {
        const int8_t *v = x + a * g->mid * g->red1 * g->inner;
        for (int32_t b = 0; b < g->red1; b++, v += g->inner) {
            a0 = thm_reduce_step_s8(a0, v[0], kind);
            if (lanes == 4) {
                a1 = thm_reduce_step_s8(a1, v[1], kind);
                a2 = thm_reduce_step_s8(a2, v[2], kind);
                a3 = thm_reduce_step_s8(a3, v[3], kind);
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

THM_INLINE int8_t thm_reduce_finish_s8(int32_t acc, int32_t kind, thm_reduce_scale f)
{
    if (kind != THM_REDUCE_SUM) {
        return (int8_t)acc;
    }
    const int32_t q = thm_requantize(acc, f.multiplier, f.shift);
    return (int8_t)(thm_clamp(q, INT8_MIN - f.offset, INT8_MAX - f.offset) + f.offset);
}

THM_INLINE void thm_reduce_rows_s8(const thm_reduce g, int32_t kind, int32_t start,
                                   thm_reduce_scale f, int32_t y_first, int32_t y_count,
                                   const int8_t *x, int8_t *y)
{
    const int32_t run = g.red1 * g.inner, unit = g.red0 * g.mid * run;
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const int8_t *x_row = x + thm_ring(r, g.x_ring) * g.outer * unit;
        int8_t *to = y + thm_ring(r, g.y_ring) * g.outer * g.mid * g.inner;
        for (int32_t o = 0; o < g.outer; o++) {
            for (int32_t m = 0; m < g.mid; m++, to += g.inner) {
                const int8_t *from = x_row + o * unit + m * run;
                int32_t i = 0;
                for (; i + 4 <= g.inner; i += 4) {
                    int32_t acc[4] = {start, start, start, start};
                    thm_reduce_lanes_s8(&g, kind, 4, from + i, acc);
                    to[i] = thm_reduce_finish_s8(acc[0], kind, f);
                    to[i + 1] = thm_reduce_finish_s8(acc[1], kind, f);
                    to[i + 2] = thm_reduce_finish_s8(acc[2], kind, f);
                    to[i + 3] = thm_reduce_finish_s8(acc[3], kind, f);
                }
                for (; i < g.inner; i++) {
                    int32_t acc = start;
                    thm_reduce_lanes_s8(&g, kind, 1, from + i, &acc);
                    to[i] = thm_reduce_finish_s8(acc, kind, f);
                }
            }
        }
    }
}

typedef struct {
    int32_t outer, red0, mid, red1, inner, x_ring, y_ring;
    int32_t start; /* - zero point of x * number of elements */
    int32_t multiplier, shift, output_offset;
} thm_reduce_sum_s8_params;

/* requantize(sum of x - x_zero) + output_offset: SUM; MEAN with the divisor in the multiplier */
THM_KERNEL void thm_reduce_sum_s8(const thm_reduce_sum_s8_params *p, int32_t y_first,
                                  int32_t y_count, const int8_t *x, int8_t *y)
{
    const thm_reduce g = THM_REDUCE(p);
    const thm_reduce_scale f = {p->multiplier, p->shift, p->output_offset};
    thm_reduce_rows_s8(g, THM_REDUCE_SUM, p->start, f, y_first, y_count, x, y);
}

typedef struct {
    int32_t outer, red0, mid, red1, inner, x_ring, y_ring;
} thm_reduce_max_s8_params;

THM_KERNEL void thm_reduce_max_s8(const thm_reduce_max_s8_params *p, int32_t y_first,
                                  int32_t y_count, const int8_t *x, int8_t *y)
{
    const thm_reduce g = THM_REDUCE(p);
    const thm_reduce_scale none = {0, 0, 0};
    thm_reduce_rows_s8(g, THM_REDUCE_MAX, INT8_MIN, none, y_first, y_count, x, y);
}

typedef struct {
    int32_t outer, red0, mid, red1, inner, x_ring, y_ring;
} thm_reduce_min_s8_params;

THM_KERNEL void thm_reduce_min_s8(const thm_reduce_min_s8_params *p, int32_t y_first,
                                  int32_t y_count, const int8_t *x, int8_t *y)
{
    const thm_reduce g = THM_REDUCE(p);
    const thm_reduce_scale none = {0, 0, 0};
    thm_reduce_rows_s8(g, THM_REDUCE_MIN, INT8_MAX, none, y_first, y_count, x, y);
}

THM_INLINE int32_t thm_reduce_step_s16(int32_t acc, int32_t value, int32_t kind)
{
    if (kind == THM_REDUCE_SUM) {
        return acc + value;
    }
    return (kind == THM_REDUCE_MAX ? acc < value : value < acc) ? value : acc;
}

/* acc[lanes] (holding its start) of elements x[0, lanes), x pointing at a = b = 0; lanes 1 or 4 */
THM_INLINE void thm_reduce_lanes_s16(const thm_reduce *g, int32_t kind, int32_t lanes,
                                     const int16_t *x, int32_t *acc)
{
    int32_t a0 = acc[0], a1 = a0, a2 = a0, a3 = a0;
    for (int32_t a = 0; a < g->red0; a++) {
        const int16_t *v = x + a * g->mid * g->red1 * g->inner;
        for (int32_t b = 0; b < g->red1; b++, v += g->inner) {
            a0 = thm_reduce_step_s16(a0, v[0], kind);
            if (lanes == 4) {
                a1 = thm_reduce_step_s16(a1, v[1], kind);
                a2 = thm_reduce_step_s16(a2, v[2], kind);
                a3 = thm_reduce_step_s16(a3, v[3], kind);
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

THM_INLINE int16_t thm_reduce_finish_s16(int32_t acc, int32_t kind, thm_reduce_scale f)
{
    if (kind != THM_REDUCE_SUM) {
        return (int16_t)acc;
    }
    const int32_t q = thm_requantize(acc, f.multiplier, f.shift);
    return (int16_t)(thm_clamp(q, INT16_MIN - f.offset, INT16_MAX - f.offset) + f.offset);
}

THM_INLINE void thm_reduce_rows_s16(const thm_reduce g, int32_t kind, int32_t start,
                                    thm_reduce_scale f, int32_t y_first, int32_t y_count,
                                    const int16_t *x, int16_t *y)
{
    const int32_t run = g.red1 * g.inner, unit = g.red0 * g.mid * run;
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const int16_t *x_row = x + thm_ring(r, g.x_ring) * g.outer * unit;
        int16_t *to = y + thm_ring(r, g.y_ring) * g.outer * g.mid * g.inner;
        for (int32_t o = 0; o < g.outer; o++) {
            for (int32_t m = 0; m < g.mid; m++, to += g.inner) {
                const int16_t *from = x_row + o * unit + m * run;
                int32_t i = 0;
                for (; i + 4 <= g.inner; i += 4) {
                    int32_t acc[4] = {start, start, start, start};
                    thm_reduce_lanes_s16(&g, kind, 4, from + i, acc);
                    to[i] = thm_reduce_finish_s16(acc[0], kind, f);
                    to[i + 1] = thm_reduce_finish_s16(acc[1], kind, f);
                    to[i + 2] = thm_reduce_finish_s16(acc[2], kind, f);
                    to[i + 3] = thm_reduce_finish_s16(acc[3], kind, f);
                }
                for (; i < g.inner; i++) {
                    int32_t acc = start;
                    thm_reduce_lanes_s16(&g, kind, 1, from + i, &acc);
                    to[i] = thm_reduce_finish_s16(acc, kind, f);
                }
            }
        }
    }
}

typedef struct {
    int32_t outer, red0, mid, red1, inner, x_ring, y_ring;
    int32_t start; /* - zero point of x * number of elements */
    int32_t multiplier, shift, output_offset;
} thm_reduce_sum_s16_params;

/* requantize(sum of x - x_zero) + output_offset: SUM; MEAN with the divisor in the multiplier */
THM_KERNEL void thm_reduce_sum_s16(const thm_reduce_sum_s16_params *p, int32_t y_first,
                                   int32_t y_count, const int16_t *x, int16_t *y)
{
    const thm_reduce g = THM_REDUCE(p);
    const thm_reduce_scale f = {p->multiplier, p->shift, p->output_offset};
    thm_reduce_rows_s16(g, THM_REDUCE_SUM, p->start, f, y_first, y_count, x, y);
}

typedef struct {
    int32_t outer, red0, mid, red1, inner, x_ring, y_ring;
} thm_reduce_max_s16_params;

THM_KERNEL void thm_reduce_max_s16(const thm_reduce_max_s16_params *p, int32_t y_first,
                                   int32_t y_count, const int16_t *x, int16_t *y)
{
    const thm_reduce g = THM_REDUCE(p);
    const thm_reduce_scale none = {0, 0, 0};
    thm_reduce_rows_s16(g, THM_REDUCE_MAX, INT16_MIN, none, y_first, y_count, x, y);
}

typedef struct {
    int32_t outer, red0, mid, red1, inner, x_ring, y_ring;
} thm_reduce_min_s16_params;

THM_KERNEL void thm_reduce_min_s16(const thm_reduce_min_s16_params *p, int32_t y_first,
                                   int32_t y_count, const int16_t *x, int16_t *y)
{
    const thm_reduce g = THM_REDUCE(p);
    const thm_reduce_scale none = {0, 0, 0};
    thm_reduce_rows_s16(g, THM_REDUCE_MIN, INT16_MAX, none, y_first, y_count, x, y);
}

THM_INLINE float thm_reduce_step_f32(float acc, float value, int32_t kind)
{
    if (kind == THM_REDUCE_SUM) {
        return acc + value;
    }
    return (kind == THM_REDUCE_MAX ? acc < value : value < acc) ? value : acc;
}

/* acc[lanes] (holding its start) of elements x[0, lanes), x pointing at a = b = 0; lanes 1 or 4 */
THM_INLINE void thm_reduce_lanes_f32(const thm_reduce *g, int32_t kind, int32_t lanes,
                                     const float *x, float *acc)
{
    float a0 = acc[0], a1 = a0, a2 = a0, a3 = a0;
    for (int32_t a = 0; a < g->red0; a++) {
        const float *v = x + a * g->mid * g->red1 * g->inner;
        for (int32_t b = 0; b < g->red1; b++, v += g->inner) {
            a0 = thm_reduce_step_f32(a0, v[0], kind);
            if (lanes == 4) {
                a1 = thm_reduce_step_f32(a1, v[1], kind);
                a2 = thm_reduce_step_f32(a2, v[2], kind);
                a3 = thm_reduce_step_f32(a3, v[3], kind);
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

THM_INLINE float thm_reduce_finish_f32(float acc, int32_t kind, float divisor)
{
    return kind == THM_REDUCE_SUM ? acc / divisor : acc;
}

THM_INLINE void thm_reduce_rows_f32(const thm_reduce g, int32_t kind, float start,
                                    float divisor, int32_t y_first, int32_t y_count,
                                    const float *x, float *y)
{
    const int32_t run = g.red1 * g.inner, unit = g.red0 * g.mid * run;
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const float *x_row = x + thm_ring(r, g.x_ring) * g.outer * unit;
        float *to = y + thm_ring(r, g.y_ring) * g.outer * g.mid * g.inner;
        for (int32_t o = 0; o < g.outer; o++) {
            for (int32_t m = 0; m < g.mid; m++, to += g.inner) {
                const float *from = x_row + o * unit + m * run;
                int32_t i = 0;
                for (; i + 4 <= g.inner; i += 4) {
                    float acc[4] = {start, start, start, start};
                    thm_reduce_lanes_f32(&g, kind, 4, from + i, acc);
                    to[i] = thm_reduce_finish_f32(acc[0], kind, divisor);
                    to[i + 1] = thm_reduce_finish_f32(acc[1], kind, divisor);
                    to[i + 2] = thm_reduce_finish_f32(acc[2], kind, divisor);
                    to[i + 3] = thm_reduce_finish_f32(acc[3], kind, divisor);
                }
                for (; i < g.inner; i++) {
                    float acc = start;
                    thm_reduce_lanes_f32(&g, kind, 1, from + i, &acc);
                    to[i] = thm_reduce_finish_f32(acc, kind, divisor);
                }
            }
        }
    }
}

typedef struct {
    int32_t outer, red0, mid, red1, inner, x_ring, y_ring;
    float divisor; /* 1 for SUM, the number of elements for MEAN */
} thm_reduce_sum_f32_params;

THM_KERNEL void thm_reduce_sum_f32(const thm_reduce_sum_f32_params *p, int32_t y_first,
                                   int32_t y_count, const float *x, float *y)
{
    const thm_reduce g = THM_REDUCE(p);
    thm_reduce_rows_f32(g, THM_REDUCE_SUM, 0.0f, p->divisor, y_first, y_count, x, y);
}

typedef struct {
    int32_t outer, red0, mid, red1, inner, x_ring, y_ring;
} thm_reduce_max_f32_params;

THM_KERNEL void thm_reduce_max_f32(const thm_reduce_max_f32_params *p, int32_t y_first,
                                   int32_t y_count, const float *x, float *y)
{
    const thm_reduce g = THM_REDUCE(p);
    thm_reduce_rows_f32(g, THM_REDUCE_MAX, -3.40282347e+38f, 1.0f, y_first, y_count, x, y);
}

typedef struct {
    int32_t outer, red0, mid, red1, inner, x_ring, y_ring;
} thm_reduce_min_f32_params;

THM_KERNEL void thm_reduce_min_f32(const thm_reduce_min_f32_params *p, int32_t y_first,
                                   int32_t y_count, const float *x, float *y)
{
    const thm_reduce g = THM_REDUCE(p);
    thm_reduce_rows_f32(g, THM_REDUCE_MIN, 3.40282347e+38f, 1.0f, y_first, y_count, x, y);
}

#endif
