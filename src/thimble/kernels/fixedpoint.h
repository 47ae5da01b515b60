/* Integer arithmetic of the TFLite kernels, bit for bit (docs/numerics.md; NumPy form: fixedpoint.py).
 * Right shifts of negative numbers are arithmetic on every compiler Thimble supports. */
#ifndef THM_FIXEDPOINT_H
#define THM_FIXEDPOINT_H

#include "thm.h"

/* floor(a * b / 2^31 + 1/2), saturated. TFLite adds a nudge by sign and divides toward zero, which is the
 * same number: for p < 0, trunc((p + 1 - 2^30) / 2^31) = floor((p + 2^30) / 2^31). */
THM_INLINE int32_t thm_srdhm(int32_t a, int32_t b)
{
    if (a == b && a == INT32_MIN) {
        return INT32_MAX;
    }
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* The same where b is a multiplier in [0, 2^31), so that nothing saturates. */
THM_INLINE int32_t thm_srdhm_positive(int32_t a, int32_t b)
{
#if defined(__ARM_ARCH_6M__)
    /* No long multiplication there: halves, which no sum overflows, instead of __aeabi_lmul. */
    const int32_t a1 = a >> 16, b1 = b >> 16;
    const uint32_t a0 = (uint32_t)a & 0xFFFFu, b0 = (uint32_t)b & 0xFFFFu;
    const int32_t middle = (int32_t)((uint32_t)a1 * b0 + ((a0 * b0) >> 16));
    const uint32_t low = a0 * (uint32_t)b1 + ((uint32_t)middle & 0xFFFFu);
    return (int32_t)(((uint32_t)(a1 * b1 + (middle >> 16)) << 1) + (((low >> 14) + 1) >> 1));
#else
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
#endif
}

/* x / 2^exponent rounded half away from zero, exponent in [0, 31]. */
THM_INLINE int32_t thm_rdivpot(int32_t x, int32_t exponent)
{
    const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1u);
    const int32_t remainder = x & mask;
    const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

/* x * 2^shift with wrap-around, shift in [0, 31]. */
THM_INLINE int32_t thm_shl(int32_t x, int32_t shift)
{
    return (int32_t)((uint32_t)x << shift);
}

/* x * q * 2^(shift - 31), double rounding; shift positive = left, in [-31, 31]. */
THM_INLINE int32_t thm_mbqm(int32_t x, int32_t q, int32_t shift)
{
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    return thm_rdivpot(thm_srdhm(thm_shl(x, left), q), right);
}

/* thm_mbqm for q >= 0, which is what every weight and activation scale gives. */
THM_INLINE int32_t thm_requantize(int32_t x, int32_t q, int32_t shift)
{
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    return thm_rdivpot(thm_srdhm_positive(thm_shl(x, left), q), right);
}

/* thm_requantize where the factor is known to be below one: shift in [-31, 0].
 * q < 2^31 keeps the product off both ends of int32, so that rounding halves away from zero is one
 * less for negative numbers, then halves up. */
THM_INLINE int32_t thm_requantize_down(int32_t x, int32_t q, int32_t shift)
{
    const int32_t product = thm_srdhm_positive(x, q);
    if (shift == 0) {
        return product;
    }
    return (((product + (product >> 31)) >> (-shift - 1)) + 1) >> 1;
}

/* thm_requantize of an int64 accumulator: the multiplier is first reduced to 16 bits. */
THM_INLINE int32_t thm_requantize64(int64_t x, int32_t q, int32_t shift)
{
    const int32_t q16 = q < 0x7FFF0000 ? (q + (1 << 15)) >> 16 : 0x7FFF;
    const int32_t total = 15 - shift;
    return (int32_t)((x * q16 + ((int64_t)1 << (total - 1))) >> total);
}

#endif
