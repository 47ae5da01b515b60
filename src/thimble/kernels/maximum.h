/* y = max(x1, x2), or min(x1, x2) where `minimum` is 1: raw values, one scale for all. Operands
 * and loops: broadcast.h; safe in place. */
#ifndef THM_MAXIMUM_H
#define THM_MAXIMUM_H

#include "broadcast.h"

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t minimum;
} thm_maximum_s8_params;

THM_INLINE int8_t thm_maximum_one_s8(const thm_maximum_s8_params *p, int8_t a, int8_t b)
{
    return (p->minimum ? a < b : a > b) ? a : b;
}

THM_KERNEL void thm_maximum_s8(const thm_maximum_s8_params *p, int32_t y_first, int32_t y_count,
                               const int8_t *x1, const int8_t *x2, const int32_t *walk, int8_t *y)
{
    THM_BINARY_ROWS(thm_maximum_one_s8)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t minimum;
} thm_maximum_s16_params;

THM_INLINE int16_t thm_maximum_one_s16(const thm_maximum_s16_params *p, int16_t a, int16_t b)
{
    return (p->minimum ? a < b : a > b) ? a : b;
}

THM_KERNEL void thm_maximum_s16(const thm_maximum_s16_params *p, int32_t y_first, int32_t y_count,
                                const int16_t *x1, const int16_t *x2, const int32_t *walk,
                                int16_t *y)
{
    THM_BINARY_ROWS(thm_maximum_one_s16)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t minimum;
} thm_maximum_s32_params;

THM_INLINE int32_t thm_maximum_one_s32(const thm_maximum_s32_params *p, int32_t a, int32_t b)
{
    return (p->minimum ? a < b : a > b) ? a : b;
}

THM_KERNEL void thm_maximum_s32(const thm_maximum_s32_params *p, int32_t y_first, int32_t y_count,
                                const int32_t *x1, const int32_t *x2, const int32_t *walk,
                                int32_t *y)
{
    THM_BINARY_ROWS(thm_maximum_one_s32)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t minimum;
} thm_maximum_s64_params;

THM_INLINE int64_t thm_maximum_one_s64(const thm_maximum_s64_params *p, int64_t a, int64_t b)
{
    return (p->minimum ? a < b : a > b) ? a : b;
}

THM_KERNEL void thm_maximum_s64(const thm_maximum_s64_params *p, int32_t y_first, int32_t y_count,
                                const int64_t *x1, const int64_t *x2, const int32_t *walk,
                                int64_t *y)
{
    THM_BINARY_ROWS(thm_maximum_one_s64)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t minimum;
} thm_maximum_f32_params;

THM_INLINE float thm_maximum_one_f32(const thm_maximum_f32_params *p, float a, float b)
{
    return (p->minimum ? a < b : a > b) ? a : b;
}

THM_KERNEL void thm_maximum_f32(const thm_maximum_f32_params *p, int32_t y_first, int32_t y_count,
                                const float *x1, const float *x2, const int32_t *walk, float *y)
{
    THM_BINARY_ROWS(thm_maximum_one_f32)
}

#endif
