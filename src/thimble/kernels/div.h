/* y = clamp(x1 / x2). Operands and loops: broadcast.h; safe in place. */
#ifndef THM_DIV_H
#define THM_DIV_H

#include "broadcast.h"
#include "fixedpoint.h"

/* reciprocal[v] = 1 / v scaled to [1/2, 1] as F0, v in [1, 255]: the integer part of the divisor's
 * logarithm is taken from v itself. Division by zero saturates by the sign of x1; 0 / 0 is 0. */
typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t x1_offset, x2_offset, output_offset;
    int32_t multiplier, shift; /* shift in [-31, 22] */
    int32_t act_min, act_max;
} thm_div_s8_params;

THM_INLINE int8_t thm_div_one_s8(const thm_div_s8_params *p, const int32_t *reciprocal, int8_t a,
                                 int8_t b)
{
    const int32_t divisor = b + p->x2_offset;
    const int32_t v = divisor < 0 ? -divisor : divisor;
    const int32_t u = divisor < 0 ? -(a + p->x1_offset) : a + p->x1_offset;
    if (v == 0) {
        const int32_t q = u > 0 ? p->act_max : u < 0 ? p->act_min : p->output_offset;
        return (int8_t)thm_clamp(q, p->act_min, p->act_max);
    }
    const int32_t headroom = __builtin_clrsb(u);
    const int32_t log2 = 31 - __builtin_clz((uint32_t)v);
    const int32_t x = thm_srdhm_positive(thm_shl(u, headroom), reciprocal[v]);
    const int32_t shift = p->shift - log2 - headroom;
    const int32_t q = shift < -31 ? 0 : thm_requantize_down(x, p->multiplier, shift);
    return (int8_t)thm_clamp(q + p->output_offset, p->act_min, p->act_max);
}

#define THM_DIV_ONE(p, a, b) thm_div_one_s8(p, reciprocal, a, b)

THM_KERNEL void thm_div_s8(const thm_div_s8_params *p, int32_t y_first, int32_t y_count,
                           const int8_t *x1, const int8_t *x2, const int32_t *walk,
                           const int32_t *reciprocal, int8_t *y)
{
    THM_BINARY_ROWS(THM_DIV_ONE)
}

/* Unquantized, toward zero. Division by zero is 0; INT32_MIN / -1 wraps. */
typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
} thm_div_s32_params;

THM_INLINE int32_t thm_div_one_s32(const thm_div_s32_params *p, int32_t a, int32_t b)
{
    (void)p;
    if (b == 0) {
        return 0;
    }
    return b == -1 ? (int32_t)(0u - (uint32_t)a) : a / b;
}

THM_KERNEL void thm_div_s32(const thm_div_s32_params *p, int32_t y_first, int32_t y_count,
                            const int32_t *x1, const int32_t *x2, const int32_t *walk, int32_t *y)
{
    THM_BINARY_ROWS(thm_div_one_s32)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    float act_min, act_max;
} thm_div_f32_params;

THM_INLINE float thm_div_one_f32(const thm_div_f32_params *p, float a, float b)
{
    return thm_clamp_f32(a / b, p->act_min, p->act_max);
}

THM_KERNEL void thm_div_f32(const thm_div_f32_params *p, int32_t y_first, int32_t y_count,
                            const float *x1, const float *x2, const int32_t *walk, float *y)
{
    THM_BINARY_ROWS(thm_div_one_f32)
}

#endif
