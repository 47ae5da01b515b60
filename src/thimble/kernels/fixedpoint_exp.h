/* exp and 1 / x in fixed point as TFLite has them, bit for bit (NumPy form: fixedpoint.py).
 * F<I> is an int32 with I integer bits and 31 - I fraction bits. No product here is of INT32_MIN by
 * itself, so thm_srdhm_positive serves for all signs. */
#ifndef THM_FIXEDPOINT_EXP_H
#define THM_FIXEDPOINT_EXP_H

#include "fixedpoint.h"

/* exp(a) as F0, a <= 0 as F5: a polynomial on [-1/4, 0) times exp(-2^k) for each bit of the rest.
 * Not inline: it is a quarter kilobyte. */
static THM_NOINLINE __attribute__((unused)) int32_t thm_exp_on_negative_f5(int32_t a)
{
    static const int32_t exp_of_bit[7] = {1672461947, 1302514674, 790015084, 290630308,
                                          39332535,   720401,     242};
    const int32_t quarter = 1 << 24;
    const int32_t a_mod = (a & (quarter - 1)) - quarter;
    const int32_t remainder = a_mod - a;
    const int32_t x = a_mod * (1 << 5) + (1 << 28);
    const int32_t x2 = thm_srdhm_positive(x, x);
    const int32_t x3 = thm_srdhm_positive(x2, x);
    const int32_t x4 = thm_srdhm_positive(x2, x2);
    const int32_t high = thm_srdhm_positive(thm_rdivpot(x4, 2) + x3, 715827883) + x2;
    int32_t result = 1895147668 + thm_srdhm_positive(x + thm_rdivpot(high, 1), 1895147668);
    for (int32_t k = 0; k < 7; k++) {
        if (remainder & (quarter << k)) {
            result = thm_srdhm_positive(result, exp_of_bit[k]);
        }
    }
    return a == 0 ? INT32_MAX : result;
}

/* 1 / (1 + a) as F0, a in [0, 1) as F0: three Newton steps in F2. */
THM_INLINE int32_t thm_one_over_one_plus(int32_t a)
{
    const int32_t half = (int32_t)(((uint32_t)a + 0x80000000u) >> 1);
    int32_t x = 1515870810 + thm_srdhm_positive(half, -1010580540);
    for (int32_t k = 0; k < 3; k++) {
        const int32_t error = (1 << 29) - thm_srdhm_positive(half, x);
        x += thm_srdhm_positive(x, error) * 4;
    }
    return x >= 1 << 30 ? INT32_MAX : x * 2;
}

/* 1 / x as F0 times 2^-*bits, for x > 0 with `integer_bits` integer bits. */
THM_INLINE int32_t thm_reciprocal(int32_t x, int32_t integer_bits, int32_t *bits)
{
    const int32_t headroom = __builtin_clz((uint32_t)x);
    *bits = integer_bits - headroom;
    return thm_one_over_one_plus((int32_t)(((uint32_t)x << headroom) - 0x80000000u));
}

#endif
