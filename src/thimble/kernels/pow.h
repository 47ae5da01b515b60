/* y = x1 ^ x2. Operands and loops: broadcast.h; safe in place. */
#ifndef THM_POW_H
#define THM_POW_H

#include <math.h>

#include "broadcast.h"

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
} thm_pow_f32_params;

THM_INLINE float thm_pow_one_f32(const thm_pow_f32_params *p, float a, float b)
{
    (void)p;
    return powf(a, b);
}

THM_KERNEL void thm_pow_f32(const thm_pow_f32_params *p, int32_t y_first, int32_t y_count,
                            const float *x1, const float *x2, const int32_t *walk, float *y)
{
    THM_BINARY_ROWS(thm_pow_one_f32)
}

#endif
