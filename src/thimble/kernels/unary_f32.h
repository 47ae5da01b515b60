/* The float forms of the activation functions. Loops: unary.h; safe in place. */
#ifndef THM_UNARY_F32_H
#define THM_UNARY_F32_H

#include <math.h>

#include "unary.h"

/* 1 / (1 + exp(-x)), with TFLM's cut-offs: 1 where exp(-x) vanishes beside 1, exp(x) below -9. */
THM_INLINE float thm_sigmoid_f32(float x)
{
    if (x > 16.619047164916992f) {
        return 1.0f;
    }
    return x < -9.0f ? expf(x) : 1.0f / (1.0f + expf(-x));
}

typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_logistic_f32_params;

#define THM_LOGISTIC_F32_ONE(p, x) thm_sigmoid_f32(x)

THM_KERNEL void thm_logistic_f32(const thm_logistic_f32_params *p, int32_t y_first,
                                 int32_t y_count, const float *x, float *y)
{
    THM_UNARY_ROWS(THM_LOGISTIC_F32_ONE)
}

typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_tanh_f32_params;

#define THM_TANH_F32_ONE(p, x) tanhf(x)

THM_KERNEL void thm_tanh_f32(const thm_tanh_f32_params *p, int32_t y_first, int32_t y_count,
                             const float *x, float *y)
{
    THM_UNARY_ROWS(THM_TANH_F32_ONE)
}

/* x * clamp(x + 3, 0, 6) / 6 */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_hard_swish_f32_params;

#define THM_HARD_SWISH_F32_ONE(p, x) (x) * thm_clamp_f32((x) + 3.0f, 0.0f, 6.0f) / 6.0f

THM_KERNEL void thm_hard_swish_f32(const thm_hard_swish_f32_params *p, int32_t y_first,
                                   int32_t y_count, const float *x, float *y)
{
    THM_UNARY_ROWS(THM_HARD_SWISH_F32_ONE)
}

/* x where it is not negative, exp(x) - 1 elsewhere */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_elu_f32_params;

#define THM_ELU_F32_ONE(p, x) (x) < 0.0f ? expm1f(x) : (x)

THM_KERNEL void thm_elu_f32(const thm_elu_f32_params *p, int32_t y_first, int32_t y_count,
                            const float *x, float *y)
{
    THM_UNARY_ROWS(THM_ELU_F32_ONE)
}

/* x * Phi(x): by erfc, or by tanh where `approximate` is 1 */
typedef struct {
    int32_t y_ring, x_ring, x_row;
    int32_t approximate;
} thm_gelu_f32_params;

THM_INLINE float thm_gelu_one_f32(const thm_gelu_f32_params *p, float x)
{
    if (p->approximate) {
        return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    }
    return 0.5f * x * erfcf(x * -0.70710678f);
}

THM_KERNEL void thm_gelu_f32(const thm_gelu_f32_params *p, int32_t y_first, int32_t y_count,
                             const float *x, float *y)
{
    THM_UNARY_ROWS(thm_gelu_one_f32)
}

#endif
