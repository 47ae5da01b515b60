/* The primitives of a core in plain C. Every other file in this folder implements the same ones.
 * Same results, bit for bit; sums wrap as two's complement int32. */
#ifndef THM_ARCH_SCALAR_H
#define THM_ARCH_SCALAR_H

#include "../thm.h"

/* acc += sum_k w[k] * x[k] */
THM_INLINE void thm_dot_s8(int32_t *acc, const int8_t *w, const int8_t *x, int32_t count)
{
    int32_t sum = *acc;
    for (int32_t k = 0; k < count; k++) {
        sum += (int32_t)w[k] * x[k];
    }
    *acc = sum;
}

/* sum_k w[k] */
THM_INLINE int32_t thm_sum_s8(const int8_t *w, int32_t count)
{
    int32_t sum = 0;
    for (int32_t k = 0; k < count; k++) {
        sum += w[k];
    }
    return sum;
}

/* acc += sum_k w[k] * x[k], int16 activations, int64 accumulator */
THM_INLINE void thm_dot_s16(int64_t *acc, const int8_t *w, const int16_t *x, int32_t count)
{
    int64_t sum = *acc;
    for (int32_t k = 0; k < count; k++) {
        sum += (int32_t)w[k] * x[k];
    }
    *acc = sum;
}

#endif
