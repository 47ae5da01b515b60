/* y = floor(x1 / x2) and y = x1 - x2 * floor(x1 / x2). Operands and loops: broadcast.h; in place
 * too. Integers divided by zero give 0; INT32_MIN / -1 wraps. */
#ifndef THM_FLOOR_DIV_H
#define THM_FLOOR_DIV_H

#include <math.h>

#include "broadcast.h"

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
} thm_floor_div_s32_params;

THM_INLINE int32_t thm_floor_div_one_s32(const thm_floor_div_s32_params *p, int32_t a, int32_t b)
{
    (void)p;
    if (b == 0) {
        return 0;
    }
    if (b == -1) {
        return (int32_t)(0u - (uint32_t)a);
    }
    return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

THM_KERNEL void thm_floor_div_s32(const thm_floor_div_s32_params *p, int32_t y_first,
                                  int32_t y_count, const int32_t *x1, const int32_t *x2,
                                  const int32_t *walk, int32_t *y)
{
    THM_BINARY_ROWS(thm_floor_div_one_s32)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
} thm_floor_div_f32_params;

THM_INLINE float thm_floor_div_one_f32(const thm_floor_div_f32_params *p, float a, float b)
{
    (void)p;
    return floorf(a / b);
}

THM_KERNEL void thm_floor_div_f32(const thm_floor_div_f32_params *p, int32_t y_first,
                                  int32_t y_count, const float *x1, const float *x2,
                                  const int32_t *walk, float *y)
{
    THM_BINARY_ROWS(thm_floor_div_one_f32)
}

/* The remainder has the sign of x2. */
typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
} thm_floor_mod_s32_params;

THM_INLINE int32_t thm_floor_mod_one_s32(const thm_floor_mod_s32_params *p, int32_t a, int32_t b)
{
    (void)p;
    if (b == 0 || b == -1) {
        return 0;
    }
    const int32_t rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

THM_KERNEL void thm_floor_mod_s32(const thm_floor_mod_s32_params *p, int32_t y_first,
                                  int32_t y_count, const int32_t *x1, const int32_t *x2,
                                  const int32_t *walk, int32_t *y)
{
    THM_BINARY_ROWS(thm_floor_mod_one_s32)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
} thm_floor_mod_f32_params;

THM_INLINE float thm_floor_mod_one_f32(const thm_floor_mod_f32_params *p, float a, float b)
{
    (void)p;
    const float rest = fmodf(a, b);
    return rest != 0.0f && (rest < 0.0f) != (b < 0.0f) ? rest + b : rest;
}

THM_KERNEL void thm_floor_mod_f32(const thm_floor_mod_f32_params *p, int32_t y_first,
                                  int32_t y_count, const float *x1, const float *x2,
                                  const int32_t *walk, float *y)
{
    THM_BINARY_ROWS(thm_floor_mod_one_f32)
}

#endif
