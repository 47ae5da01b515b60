/* y = clamp(x1 + x2), or x1 - x2 where `subtract` is 1. Operands and loops: broadcast.h; safe in
 * place. */
#ifndef THM_ADD_H
#define THM_ADD_H

#include "broadcast.h"
#include "fixedpoint.h"
#if defined(__ARM_FEATURE_MVE)
#include "arch/mve_elementwise.h"
#endif

/* Both operands are brought to one scale in 32 bits before they meet. */
typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t subtract;
    int32_t x1_offset, x1_multiplier, x1_shift; /* shifts in [-31, 0] */
    int32_t x2_offset, x2_multiplier, x2_shift;
    int32_t output_offset, output_multiplier, output_shift;
    int32_t act_min, act_max;
} thm_add_s8_params;

THM_INLINE int8_t thm_add_one_s8(const thm_add_s8_params *p, int8_t a, int8_t b)
{
    const int32_t u =
        thm_requantize_down((a + p->x1_offset) * (1 << 20), p->x1_multiplier, p->x1_shift);
    const int32_t v =
        thm_requantize_down((b + p->x2_offset) * (1 << 20), p->x2_multiplier, p->x2_shift);
    const int32_t sum = p->subtract ? u - v : u + v;
    const int32_t q = thm_requantize_down(sum, p->output_multiplier, p->output_shift);
    return (int8_t)thm_clamp(q + p->output_offset, p->act_min, p->act_max);
}

#if defined(__ARM_FEATURE_MVE)
THM_INLINE void thm_add_run_s8(const thm_add_s8_params *p, const int8_t *x1, const int8_t *x2,
                               int8_t *y)
{
    const thm_mve_sum t = {
        { p->x1_offset, p->x1_multiplier, p->x1_shift },
        { p->x2_offset, p->x2_multiplier, p->x2_shift },
        { p->output_offset, p->output_multiplier, p->output_shift },
        p->subtract, p->act_min, p->act_max,
    };
    thm_mve_add_run_s8(t, x1, x2, y, p->inner);
}
#endif

THM_KERNEL void thm_add_s8(const thm_add_s8_params *p, int32_t y_first, int32_t y_count,
                           const int8_t *x1, const int8_t *x2, const int32_t *walk, int8_t *y)
{
#if defined(__ARM_FEATURE_MVE)
    if (p->x1_step == 1 && p->x2_step == 1) {
        THM_BINARY_RUNS(thm_add_run_s8)
        return;
    }
#endif
    THM_BINARY_ROWS(thm_add_one_s8)
}

/* The same (or x1 - x2) in one sum and shift, for scales of which that is proved. */
typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t x1_factor, x2_factor, constant, shift; /* to the right; no sum leaves 32 bits */
    int32_t act_min, act_max;
} thm_add_affine_s8_params;

THM_INLINE int8_t thm_add_affine_one_s8(const thm_add_affine_s8_params *p, int8_t a, int8_t b)
{
    const int32_t sum = a * p->x1_factor + p->constant + b * p->x2_factor;
    return (int8_t)thm_clamp(sum >> p->shift, p->act_min, p->act_max);
}

#if defined(__ARM_FEATURE_MVE)
THM_INLINE void thm_add_affine_run_s8(const thm_add_affine_s8_params *p, const int8_t *x1,
                                      const int8_t *x2, int8_t *y)
{
    const thm_mve_affine t = { p->x1_factor, p->x2_factor, p->constant, p->shift,
                               p->act_min,   p->act_max };
    thm_mve_affine_run_s8(t, x1, x2, y, p->inner);
}
#endif

THM_KERNEL void thm_add_affine_s8(const thm_add_affine_s8_params *p, int32_t y_first,
                                  int32_t y_count, const int8_t *x1, const int8_t *x2,
                                  const int32_t *walk, int8_t *y)
{
#if defined(__ARM_FEATURE_MVE)
    if (p->x1_step == 1 && p->x2_step == 1) {
        THM_BINARY_RUNS(thm_add_affine_run_s8)
        return;
    }
#endif
    THM_BINARY_ROWS(thm_add_affine_one_s8)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t subtract;
    int32_t x1_multiplier, x1_shift; /* shifts in [-31, 0]; zero points are 0 */
    int32_t x2_multiplier, x2_shift;
    int32_t output_multiplier, output_shift;
    int32_t act_min, act_max;
} thm_add_s16_params;

THM_INLINE int16_t thm_add_one_s16(const thm_add_s16_params *p, int16_t a, int16_t b)
{
    const int32_t u = thm_requantize_down(a * (1 << 15), p->x1_multiplier, p->x1_shift);
    const int32_t v = thm_requantize_down(b * (1 << 15), p->x2_multiplier, p->x2_shift);
    const int32_t sum = p->subtract ? u - v : u + v;
    const int32_t q = thm_requantize_down(sum, p->output_multiplier, p->output_shift);
    return (int16_t)thm_clamp(q, p->act_min, p->act_max);
}

THM_KERNEL void thm_add_s16(const thm_add_s16_params *p, int32_t y_first, int32_t y_count,
                            const int16_t *x1, const int16_t *x2, const int32_t *walk, int16_t *y)
{
    THM_BINARY_ROWS(thm_add_one_s16)
}

/* Unquantized, wrapping. */
typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t subtract;
} thm_add_s32_params;

THM_INLINE int32_t thm_add_one_s32(const thm_add_s32_params *p, int32_t a, int32_t b)
{
    return (int32_t)(p->subtract ? (uint32_t)a - (uint32_t)b : (uint32_t)a + (uint32_t)b);
}

THM_KERNEL void thm_add_s32(const thm_add_s32_params *p, int32_t y_first, int32_t y_count,
                            const int32_t *x1, const int32_t *x2, const int32_t *walk, int32_t *y)
{
    THM_BINARY_ROWS(thm_add_one_s32)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t subtract;
    float act_min, act_max;
} thm_add_f32_params;

THM_INLINE float thm_add_one_f32(const thm_add_f32_params *p, float a, float b)
{
    return thm_clamp_f32(p->subtract ? a - b : a + b, p->act_min, p->act_max);
}

THM_KERNEL void thm_add_f32(const thm_add_f32_params *p, int32_t y_first, int32_t y_count,
                            const float *x1, const float *x2, const int32_t *walk, float *y)
{
    THM_BINARY_ROWS(thm_add_one_f32)
}

#endif
