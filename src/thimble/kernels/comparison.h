/* y = x1 <relation> x2 as 0 or 1. Operands and loops: broadcast.h. */
#ifndef THM_COMPARISON_H
#define THM_COMPARISON_H

#include "broadcast.h"
#include "fixedpoint.h"

/* The relation by number, as in ops/comparison.py. */
#define THM_COMPARE(a, relation, b)                                            \
    ((relation) == 0   ? (a) == (b)                                            \
     : (relation) == 1 ? (a) != (b)                                            \
     : (relation) == 2 ? (a) > (b)                                             \
     : (relation) == 3 ? (a) >= (b)                                            \
     : (relation) == 4 ? (a) < (b)                                             \
                       : (a) <= (b))

/* Both sides are brought to the scale 2^-8 before they are compared. */
typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t relation;
    int32_t x1_offset, x1_multiplier, x1_shift; /* shifts in [-31, 0] */
    int32_t x2_offset, x2_multiplier, x2_shift;
} thm_compare_s8_params;

THM_INLINE uint8_t thm_compare_one_s8(const thm_compare_s8_params *p, int8_t a, int8_t b)
{
    const int32_t u =
        thm_requantize_down((a + p->x1_offset) * (1 << 8), p->x1_multiplier, p->x1_shift);
    const int32_t v =
        thm_requantize_down((b + p->x2_offset) * (1 << 8), p->x2_multiplier, p->x2_shift);
    return THM_COMPARE(u, p->relation, v);
}

THM_KERNEL void thm_compare_s8(const thm_compare_s8_params *p, int32_t y_first, int32_t y_count,
                               const int8_t *x1, const int8_t *x2, const int32_t *walk, uint8_t *y)
{
    THM_BINARY_ROWS(thm_compare_one_s8)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t relation;
} thm_compare_u8_params;

THM_INLINE uint8_t thm_compare_one_u8(const thm_compare_u8_params *p, uint8_t a, uint8_t b)
{
    return THM_COMPARE(a, p->relation, b);
}

THM_KERNEL void thm_compare_u8(const thm_compare_u8_params *p, int32_t y_first, int32_t y_count,
                               const uint8_t *x1, const uint8_t *x2, const int32_t *walk,
                               uint8_t *y)
{
    THM_BINARY_ROWS(thm_compare_one_u8)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t relation;
} thm_compare_s32_params;

THM_INLINE uint8_t thm_compare_one_s32(const thm_compare_s32_params *p, int32_t a, int32_t b)
{
    return THM_COMPARE(a, p->relation, b);
}

THM_KERNEL void thm_compare_s32(const thm_compare_s32_params *p, int32_t y_first, int32_t y_count,
                                const int32_t *x1, const int32_t *x2, const int32_t *walk,
                                uint8_t *y)
{
    THM_BINARY_ROWS(thm_compare_one_s32)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t relation;
} thm_compare_s64_params;

THM_INLINE uint8_t thm_compare_one_s64(const thm_compare_s64_params *p, int64_t a, int64_t b)
{
    return THM_COMPARE(a, p->relation, b);
}

THM_KERNEL void thm_compare_s64(const thm_compare_s64_params *p, int32_t y_first, int32_t y_count,
                                const int64_t *x1, const int64_t *x2, const int32_t *walk,
                                uint8_t *y)
{
    THM_BINARY_ROWS(thm_compare_one_s64)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t relation;
} thm_compare_f32_params;

THM_INLINE uint8_t thm_compare_one_f32(const thm_compare_f32_params *p, float a, float b)
{
    return THM_COMPARE(a, p->relation, b);
}

THM_KERNEL void thm_compare_f32(const thm_compare_f32_params *p, int32_t y_first, int32_t y_count,
                                const float *x1, const float *x2, const int32_t *walk, uint8_t *y)
{
    THM_BINARY_ROWS(thm_compare_one_f32)
}

#endif
