/* The clamping and leaking relatives of RELU. Loops: unary.h; safe in place. */
#ifndef THM_RELU_H
#define THM_RELU_H

#include "unary.h"

/* clamp(requantize(x)); zero points are 0 */
typedef struct {
    int32_t y_ring, x_ring, x_row;
    int32_t multiplier, shift, act_min, act_max;
} thm_relu_s16_params;

THM_INLINE int16_t thm_relu_one_s16(const thm_relu_s16_params *p, int16_t x)
{
    const int32_t q = thm_requantize(x, p->multiplier, p->shift);
    return (int16_t)thm_clamp(q, p->act_min, p->act_max);
}

THM_KERNEL void thm_relu_s16(const thm_relu_s16_params *p, int32_t y_first, int32_t y_count,
                             const int16_t *x, int16_t *y)
{
    THM_UNARY_ROWS(thm_relu_one_s16)
}

/* clamp(x) */
typedef struct {
    int32_t y_ring, x_ring, x_row;
    float act_min, act_max;
} thm_relu_f32_params;

THM_INLINE float thm_relu_one_f32(const thm_relu_f32_params *p, float x)
{
    return thm_clamp_f32(x, p->act_min, p->act_max);
}

THM_KERNEL void thm_relu_f32(const thm_relu_f32_params *p, int32_t y_first, int32_t y_count,
                             const float *x, float *y)
{
    THM_UNARY_ROWS(thm_relu_one_f32)
}

/* requantize(x >= 0 ? x : alpha * x); the negative multiplier has the sign of alpha */
typedef struct {
    int32_t y_ring, x_ring, x_row;
    int32_t positive_multiplier, positive_shift;
    int32_t negative_multiplier, negative_shift;
} thm_leaky_relu_s16_params;

THM_INLINE int16_t thm_leaky_relu_one_s16(const thm_leaky_relu_s16_params *p, int16_t x)
{
    const int32_t q = x >= 0 ? thm_requantize(x, p->positive_multiplier, p->positive_shift)
                             : thm_mbqm(x, p->negative_multiplier, p->negative_shift);
    return (int16_t)thm_clamp(q, INT16_MIN, INT16_MAX);
}

THM_KERNEL void thm_leaky_relu_s16(const thm_leaky_relu_s16_params *p, int32_t y_first,
                                   int32_t y_count, const int16_t *x, int16_t *y)
{
    THM_UNARY_ROWS(thm_leaky_relu_one_s16)
}

typedef struct {
    int32_t y_ring, x_ring, x_row;
    float alpha;
} thm_leaky_relu_f32_params;

THM_INLINE float thm_leaky_relu_one_f32(const thm_leaky_relu_f32_params *p, float x)
{
    return x > 0.0f ? x : x * p->alpha;
}

THM_KERNEL void thm_leaky_relu_f32(const thm_leaky_relu_f32_params *p, int32_t y_first,
                                   int32_t y_count, const float *x, float *y)
{
    THM_UNARY_ROWS(thm_leaky_relu_one_f32)
}

#endif
