/* y = (x1 - x2)^2. Operands and loops: broadcast.h; safe in place. */
#ifndef THM_SQUARED_DIFFERENCE_H
#define THM_SQUARED_DIFFERENCE_H

#include "broadcast.h"
#include "fixedpoint.h"

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t x1_offset, x2_offset, output_offset;
    int32_t x1_multiplier, x1_shift; /* shifts of the operands in [-31, 0] */
    int32_t x2_multiplier, x2_shift;
    int32_t output_multiplier, output_shift;
    int32_t act_min, act_max;
} thm_squared_difference_s8_params;

THM_INLINE int8_t thm_square_one_s8(const thm_squared_difference_s8_params *p, int8_t a,
                                    int8_t b)
{
    const int32_t u =
        thm_requantize_down((a + p->x1_offset) * (1 << 7), p->x1_multiplier, p->x1_shift);
    const int32_t v =
        thm_requantize_down((b + p->x2_offset) * (1 << 7), p->x2_multiplier, p->x2_shift);
    const uint32_t d = (uint32_t)(u - v);
    const int32_t q = thm_requantize((int32_t)(d * d), p->output_multiplier, p->output_shift);
    return (int8_t)thm_clamp(q + p->output_offset, p->act_min, p->act_max);
}

THM_KERNEL void thm_squared_difference_s8(const thm_squared_difference_s8_params *p,
                                          int32_t y_first, int32_t y_count, const int8_t *x1,
                                          const int8_t *x2, const int32_t *walk, int8_t *y)
{
    THM_BINARY_ROWS(thm_square_one_s8)
}

/* Zero points are 0. */
typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t x1_multiplier, x1_shift; /* shifts of the operands in [-31, 0] */
    int32_t x2_multiplier, x2_shift;
    int32_t output_multiplier, output_shift;
    int32_t act_min, act_max;
} thm_squared_difference_s16_params;

THM_INLINE int16_t thm_square_one_s16(const thm_squared_difference_s16_params *p, int16_t a,
                                      int16_t b)
{
    const int32_t u = thm_requantize_down(a, p->x1_multiplier, p->x1_shift);
    const int32_t v = thm_requantize_down(b, p->x2_multiplier, p->x2_shift);
    const uint32_t d = (uint32_t)(u - v);
    const int32_t q = thm_requantize((int32_t)(d * d), p->output_multiplier, p->output_shift);
    return (int16_t)thm_clamp(q, p->act_min, p->act_max);
}

THM_KERNEL void thm_squared_difference_s16(const thm_squared_difference_s16_params *p,
                                           int32_t y_first, int32_t y_count, const int16_t *x1,
                                           const int16_t *x2, const int32_t *walk, int16_t *y)
{
    THM_BINARY_ROWS(thm_square_one_s16)
}

/* Unquantized, wrapping. */
typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
} thm_squared_difference_s32_params;

THM_INLINE int32_t thm_square_one_s32(const thm_squared_difference_s32_params *p, int32_t a,
                                      int32_t b)
{
    const uint32_t d = (uint32_t)a - (uint32_t)b;
    (void)p;
    return (int32_t)(d * d);
}

THM_KERNEL void thm_squared_difference_s32(const thm_squared_difference_s32_params *p,
                                           int32_t y_first, int32_t y_count, const int32_t *x1,
                                           const int32_t *x2, const int32_t *walk, int32_t *y)
{
    THM_BINARY_ROWS(thm_square_one_s32)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
} thm_squared_difference_f32_params;

THM_INLINE float thm_square_one_f32(const thm_squared_difference_f32_params *p, float a,
                                    float b)
{
    (void)p;
    return (a - b) * (a - b);
}

THM_KERNEL void thm_squared_difference_f32(const thm_squared_difference_f32_params *p,
                                           int32_t y_first, int32_t y_count, const float *x1,
                                           const float *x2, const int32_t *walk, float *y)
{
    THM_BINARY_ROWS(thm_square_one_f32)
}

#endif
