/* y = x1 ? x2 : x3, x1 a byte. Operands and loops: broadcast.h; safe in place. */
#ifndef THM_SELECT_H
#define THM_SELECT_H

#include "broadcast.h"

#define THM_SELECT_ONE(condition, a, b) ((condition) != 0 ? (a) : (b))

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, x3_ring, y_row, x1_row, x2_row, x3_row;
    int32_t outer, inner, x1_step, x2_step, x3_step, rank;
} thm_select_s8_params;

THM_KERNEL void thm_select_s8(const thm_select_s8_params *p, int32_t y_first, int32_t y_count,
                              const uint8_t *x1, const int8_t *x2, const int8_t *x3,
                              const int32_t *walk, int8_t *y)
{
    THM_TERNARY_ROWS(THM_SELECT_ONE)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, x3_ring, y_row, x1_row, x2_row, x3_row;
    int32_t outer, inner, x1_step, x2_step, x3_step, rank;
} thm_select_s16_params;

THM_KERNEL void thm_select_s16(const thm_select_s16_params *p, int32_t y_first, int32_t y_count,
                               const uint8_t *x1, const int16_t *x2, const int16_t *x3,
                               const int32_t *walk, int16_t *y)
{
    THM_TERNARY_ROWS(THM_SELECT_ONE)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, x3_ring, y_row, x1_row, x2_row, x3_row;
    int32_t outer, inner, x1_step, x2_step, x3_step, rank;
} thm_select_s32_params;

THM_KERNEL void thm_select_s32(const thm_select_s32_params *p, int32_t y_first, int32_t y_count,
                               const uint8_t *x1, const int32_t *x2, const int32_t *x3,
                               const int32_t *walk, int32_t *y)
{
    THM_TERNARY_ROWS(THM_SELECT_ONE)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, x3_ring, y_row, x1_row, x2_row, x3_row;
    int32_t outer, inner, x1_step, x2_step, x3_step, rank;
} thm_select_s64_params;

THM_KERNEL void thm_select_s64(const thm_select_s64_params *p, int32_t y_first, int32_t y_count,
                               const uint8_t *x1, const int64_t *x2, const int64_t *x3,
                               const int32_t *walk, int64_t *y)
{
    THM_TERNARY_ROWS(THM_SELECT_ONE)
}

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, x3_ring, y_row, x1_row, x2_row, x3_row;
    int32_t outer, inner, x1_step, x2_step, x3_step, rank;
} thm_select_f32_params;

THM_KERNEL void thm_select_f32(const thm_select_f32_params *p, int32_t y_first, int32_t y_count,
                               const uint8_t *x1, const float *x2, const float *x3,
                               const int32_t *walk, float *y)
{
    THM_TERNARY_ROWS(THM_SELECT_ONE)
}

#endif
