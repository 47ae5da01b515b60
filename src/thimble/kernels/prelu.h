/* y = x1 >= 0 ? x1 : x1 * x2, where x2 is alpha. Operands and loops: broadcast.h; safe in place. */
#ifndef THM_PRELU_H
#define THM_PRELU_H

#include "broadcast.h"
#include "fixedpoint.h"

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t x1_offset, x2_offset, output_offset;
    int32_t positive_multiplier, positive_shift;
    int32_t negative_multiplier, negative_shift;
    int32_t act_min, act_max;
} thm_prelu_s8_params;

THM_INLINE int8_t thm_prelu_one_s8(const thm_prelu_s8_params *p, int8_t a, int8_t b)
{
    const int32_t x = a + p->x1_offset;
    const int32_t q =
        x >= 0 ? thm_requantize(x, p->positive_multiplier, p->positive_shift)
               : thm_requantize(x * (b + p->x2_offset), p->negative_multiplier, p->negative_shift);
    return (int8_t)thm_clamp(q + p->output_offset, p->act_min, p->act_max);
}

THM_KERNEL void thm_prelu_s8(const thm_prelu_s8_params *p, int32_t y_first, int32_t y_count,
                             const int8_t *x1, const int8_t *x2, const int32_t *walk, int8_t *y)
{
    THM_BINARY_ROWS(thm_prelu_one_s8)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t x1_offset, x2_offset, output_offset;
    int32_t positive_multiplier, positive_shift;
    int32_t negative_multiplier, negative_shift;
    int32_t act_min, act_max;
} thm_prelu_s16_params;

THM_INLINE int16_t thm_prelu_one_s16(const thm_prelu_s16_params *p, int16_t a, int8_t b)
{
    const int32_t x = a + p->x1_offset;
    const int32_t q =
        x >= 0 ? thm_requantize(x, p->positive_multiplier, p->positive_shift)
               : thm_requantize(x * (b + p->x2_offset), p->negative_multiplier, p->negative_shift);
    return (int16_t)thm_clamp(q + p->output_offset, p->act_min, p->act_max);
}

THM_KERNEL void thm_prelu_s16(const thm_prelu_s16_params *p, int32_t y_first, int32_t y_count,
                              const int16_t *x1, const int8_t *x2, const int32_t *walk, int16_t *y)
{
    THM_BINARY_ROWS(thm_prelu_one_s16)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
} thm_prelu_f32_params;

THM_INLINE float thm_prelu_one_f32(const thm_prelu_f32_params *p, float a, float b)
{
    (void)p;
    return a >= 0.0f ? a : a * b;
}

THM_KERNEL void thm_prelu_f32(const thm_prelu_f32_params *p, int32_t y_first, int32_t y_count,
                              const float *x1, const float *x2, const int32_t *walk, float *y)
{
    THM_BINARY_ROWS(thm_prelu_one_f32)
}

#endif
