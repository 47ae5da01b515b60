/* Elementary functions, element by element. Loops: unary.h; safe in place. */
#ifndef THM_ELEMENTARY_H
#define THM_ELEMENTARY_H

#include <math.h>

#include "unary.h"

/* exp(x) */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_exp_f32_params;

#define THM_EXP_ONE(p, x) expf(x)

THM_KERNEL void thm_exp_f32(const thm_exp_f32_params *p, int32_t y_first, int32_t y_count,
                            const float *x, float *y)
{
    THM_UNARY_ROWS(THM_EXP_ONE)
}

/* ln(x) */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_log_f32_params;

#define THM_LOG_ONE(p, x) logf(x)

THM_KERNEL void thm_log_f32(const thm_log_f32_params *p, int32_t y_first, int32_t y_count,
                            const float *x, float *y)
{
    THM_UNARY_ROWS(THM_LOG_ONE)
}

/* sqrt(x) */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_sqrt_f32_params;

#define THM_SQRT_ONE(p, x) sqrtf(x)

THM_KERNEL void thm_sqrt_f32(const thm_sqrt_f32_params *p, int32_t y_first, int32_t y_count,
                             const float *x, float *y)
{
    THM_UNARY_ROWS(THM_SQRT_ONE)
}

/* 1 / sqrt(x) */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_rsqrt_f32_params;

#define THM_RSQRT_ONE(p, x) 1.0f / sqrtf(x)

THM_KERNEL void thm_rsqrt_f32(const thm_rsqrt_f32_params *p, int32_t y_first, int32_t y_count,
                              const float *x, float *y)
{
    THM_UNARY_ROWS(THM_RSQRT_ONE)
}

/* x * x */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_square_f32_params;

#define THM_SQUARE_ONE(p, x) (x) * (x)

THM_KERNEL void thm_square_f32(const thm_square_f32_params *p, int32_t y_first, int32_t y_count,
                               const float *x, float *y)
{
    THM_UNARY_ROWS(THM_SQUARE_ONE)
}

/* |x| */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_abs_f32_params;

#define THM_ABS_ONE(p, x) fabsf(x)

THM_KERNEL void thm_abs_f32(const thm_abs_f32_params *p, int32_t y_first, int32_t y_count,
                            const float *x, float *y)
{
    THM_UNARY_ROWS(THM_ABS_ONE)
}

/* -x */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_neg_f32_params;

#define THM_NEG_ONE(p, x) -(x)

THM_KERNEL void thm_neg_f32(const thm_neg_f32_params *p, int32_t y_first, int32_t y_count,
                            const float *x, float *y)
{
    THM_UNARY_ROWS(THM_NEG_ONE)
}

/* sin(x) */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_sin_f32_params;

#define THM_SIN_ONE(p, x) sinf(x)

THM_KERNEL void thm_sin_f32(const thm_sin_f32_params *p, int32_t y_first, int32_t y_count,
                            const float *x, float *y)
{
    THM_UNARY_ROWS(THM_SIN_ONE)
}

/* cos(x) */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_cos_f32_params;

#define THM_COS_ONE(p, x) cosf(x)

THM_KERNEL void thm_cos_f32(const thm_cos_f32_params *p, int32_t y_first, int32_t y_count,
                            const float *x, float *y)
{
    THM_UNARY_ROWS(THM_COS_ONE)
}

/* floor(x) */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_floor_f32_params;

#define THM_FLOOR_ONE(p, x) floorf(x)

THM_KERNEL void thm_floor_f32(const thm_floor_f32_params *p, int32_t y_first, int32_t y_count,
                              const float *x, float *y)
{
    THM_UNARY_ROWS(THM_FLOOR_ONE)
}

/* ceil(x) */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_ceil_f32_params;

#define THM_CEIL_ONE(p, x) ceilf(x)

THM_KERNEL void thm_ceil_f32(const thm_ceil_f32_params *p, int32_t y_first, int32_t y_count,
                             const float *x, float *y)
{
    THM_UNARY_ROWS(THM_CEIL_ONE)
}

/* x rounded, halves to even */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_round_f32_params;

#define THM_ROUND_ONE(p, x) rintf(x)

THM_KERNEL void thm_round_f32(const thm_round_f32_params *p, int32_t y_first, int32_t y_count,
                              const float *x, float *y)
{
    THM_UNARY_ROWS(THM_ROUND_ONE)
}

/* -1, 0 or 1 */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_sign_f32_params;

#define THM_SIGN_ONE(p, x) (float)((x) > 0.0f) - (float)((x) < 0.0f)

THM_KERNEL void thm_sign_f32(const thm_sign_f32_params *p, int32_t y_first, int32_t y_count,
                             const float *x, float *y)
{
    THM_UNARY_ROWS(THM_SIGN_ONE)
}

#endif
