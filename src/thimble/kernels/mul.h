/* y = clamp(x1 * x2). Operands and loops: broadcast.h; safe in place. */
#ifndef THM_MUL_H
#define THM_MUL_H

#include "broadcast.h"
#include "fixedpoint.h"

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t x1_offset, x2_offset, output_offset;
    int32_t multiplier, shift, act_min, act_max;
} thm_mul_s8_params;

THM_INLINE int8_t thm_mul_one_s8(const thm_mul_s8_params *p, int8_t a, int8_t b)
{
    const int32_t product = (a + p->x1_offset) * (b + p->x2_offset);
    const int32_t q = thm_requantize(product, p->multiplier, p->shift) + p->output_offset;
    return (int8_t)thm_clamp(q, p->act_min, p->act_max);
}

THM_KERNEL void thm_mul_s8(const thm_mul_s8_params *p, int32_t y_first, int32_t y_count,
                           const int8_t *x1, const int8_t *x2, const int32_t *walk, int8_t *y)
{
    THM_BINARY_ROWS(thm_mul_one_s8)
}

/* Zero points are 0. */
typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t multiplier, shift, act_min, act_max;
} thm_mul_s16_params;

THM_INLINE int16_t thm_mul_one_s16(const thm_mul_s16_params *p, int16_t a, int16_t b)
{
    const int32_t q = thm_requantize(a * b, p->multiplier, p->shift);
    return (int16_t)thm_clamp(q, p->act_min, p->act_max);
}

THM_KERNEL void thm_mul_s16(const thm_mul_s16_params *p, int32_t y_first, int32_t y_count,
                            const int16_t *x1, const int16_t *x2, const int32_t *walk, int16_t *y)
{
    THM_BINARY_ROWS(thm_mul_one_s16)
}

/* Unquantized, wrapping. */
typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
} thm_mul_s32_params;

THM_INLINE int32_t thm_mul_one_s32(const thm_mul_s32_params *p, int32_t a, int32_t b)
{
    (void)p;
    return (int32_t)((uint32_t)a * (uint32_t)b);
}

THM_KERNEL void thm_mul_s32(const thm_mul_s32_params *p, int32_t y_first, int32_t y_count,
                            const int32_t *x1, const int32_t *x2, const int32_t *walk, int32_t *y)
{
    THM_BINARY_ROWS(thm_mul_one_s32)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    float act_min, act_max;
} thm_mul_f32_params;

THM_INLINE float thm_mul_one_f32(const thm_mul_f32_params *p, float a, float b)
{
    return thm_clamp_f32(a * b, p->act_min, p->act_max);
}

THM_KERNEL void thm_mul_f32(const thm_mul_f32_params *p, int32_t y_first, int32_t y_count,
                            const float *x1, const float *x2, const int32_t *walk, float *y)
{
    THM_BINARY_ROWS(thm_mul_one_f32)
}

#endif
