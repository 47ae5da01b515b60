/* y[i] = (x[i] - max) - log(sum over j of exp(x[j] - max)), of each vector [depth]
 *
 * A row of x and y is [vectors][depth]; y in 1/16, zero point 127. y may be exactly x.
 */
#ifndef THM_LOG_SOFTMAX_H
#define THM_LOG_SOFTMAX_H

#include "softmax.h"

/* x * 2^shift, saturated; shift in [0, 31) */
THM_INLINE int32_t thm_shl_saturated(int32_t x, int32_t shift)
{
    const int32_t limit = (int32_t)((1u << (31 - shift)) - 1u);
    return x > limit ? INT32_MAX : x < -limit ? INT32_MIN : thm_shl(x, shift);
}

THM_INLINE int32_t thm_add_saturated(int32_t a, int32_t b)
{
    const int64_t sum = (int64_t)a + b;
    return sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : (int32_t)sum;
}

/* log(x) as F5, x >= 1 as F12: x = 2^e * r with r near 2^(-1/4), log r by a rational function. */
THM_INLINE int32_t thm_log_f12_to_f5(int32_t x)
{
    const int32_t sqrt_half = 1518500250, sqrt_sqrt_half = 1805811301, log_2 = 1488522236;
    const int32_t quarter = 1 << 23; /* 1/4 as F6 */
    const int32_t zeros_a = __builtin_clz((uint32_t)x);
    const int32_t b = thm_srdhm_positive(x, sqrt_half);
    const int32_t zeros_b = __builtin_clz((uint32_t)b) - 1;
    const int32_t r_a = thm_shl_saturated(
        thm_srdhm_positive(thm_shl_saturated(x, zeros_a - 1), sqrt_half), 1);
    const int32_t r_b = thm_shl_saturated(x, zeros_b);
    const int32_t e_a = thm_add_saturated(thm_shl_saturated(12 - zeros_a, 25), quarter);
    const int32_t e_b = thm_add_saturated(thm_shl_saturated(12 - zeros_b, 25), -quarter);
    const int32_t r = thm_min(r_a, r_b), e = thm_max(e_a, e_b);
    const int32_t p = (int32_t)(((int64_t)r + sqrt_sqrt_half + 1) >> 1);
    const int32_t q = (r - sqrt_sqrt_half) * 2;
    const int32_t q2 = thm_srdhm(q, q);
    const int32_t numerator =
        thm_srdhm(q, r) + thm_srdhm(thm_srdhm(q, q2), 117049297);
    const int32_t denominator_less_1 =
        thm_srdhm(p, 1057819769 + q + thm_srdhm(127690142, q2)) + thm_srdhm(638450708, q);
    const int32_t fraction =
        thm_srdhm(thm_rdivpot(numerator, 6), thm_one_over_one_plus(denominator_less_1));
    return thm_shl_saturated(thm_srdhm(e, log_2) + fraction, 1);
}

typedef struct {
    int32_t vectors, depth, x_ring, y_ring;
    int32_t multiplier, shift, reach;
    int32_t reverse_multiplier, reverse_shift; /* from F5 back to steps of x, shift <= 0 */
} thm_log_softmax_s8_params;

/* table as in softmax.h. Differences that the output cannot hold give -128. */
THM_KERNEL void thm_log_softmax_s8(const thm_log_softmax_s8_params *p, int32_t y_first,
                                   int32_t y_count, const int8_t *x, const int32_t *table,
                                   int8_t *y)
{
    const int32_t row = p->vectors * p->depth;
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const int8_t *from = x + thm_ring(r, p->x_ring) * row;
        int8_t *to = y + thm_ring(r, p->y_ring) * row;
        for (int32_t v = 0; v < p->vectors; v++, from += p->depth, to += p->depth) {
            int32_t max = from[0], sum = 0;
            for (int32_t i = 1; i < p->depth; i++) {
                max = thm_max(max, from[i]);
            }
            for (int32_t i = 0; i < p->depth; i++) {
                sum += thm_rdivpot(
                    thm_softmax_exp(max - from[i], p->multiplier, p->shift, p->reach, table),
                    THM_SOFTMAX_SUM_BITS);
            }
            const int32_t log_sum = thm_log_f12_to_f5(sum);
            const int32_t lowest = thm_max(
                -p->reach, thm_mbqm(log_sum + INT32_MIN, p->reverse_multiplier, p->reverse_shift));
            for (int32_t i = 0; i < p->depth; i++) {
                const int32_t d = from[i] - max;
                int32_t q = INT8_MIN;
                if (d > lowest) {
                    const int32_t scaled =
                        thm_srdhm_positive(thm_shl(d, p->shift), p->multiplier);
                    q = thm_rdivpot(scaled - log_sum, 22) + 127;
                }
                to[i] = (int8_t)thm_clamp(q, INT8_MIN, INT8_MAX);
            }
        }
    }
}

#endif
