/* y[i] = exp(beta * (x[i] - max)) / sum over j of exp(beta * (x[j] - max)), of each vector [depth]
 *
 * A row of x and y is [vectors][depth]. y may be exactly x where both have one size.
 * exp of the differences is computed, or read from `table` where it is not null:
 * table[d] = exp(beta * scale * -d), d in [0, reach). Differences beyond `reach` count as nothing.
 */
#ifndef THM_SOFTMAX_H
#define THM_SOFTMAX_H

#include "fixedpoint_exp.h"
#include "lut16.h"

#define THM_SOFTMAX_SUM_BITS 12 /* integer bits of the sum: room for 4095 elements */

/* exp(-difference * beta * scale) as F0 */
THM_INLINE int32_t thm_softmax_exp(int32_t difference, int32_t multiplier, int32_t shift,
                                   int32_t reach, const int32_t *table)
{
    if (difference >= reach) {
        return 0;
    }
    if (table != 0) {
        return table[difference];
    }
    return thm_exp_on_negative_f5(thm_srdhm_positive(thm_shl(-difference, shift), multiplier));
}

/* The largest of a vector, and the factor of its exps: F0 times 2^-*bits. */
THM_INLINE int32_t thm_softmax_prepare(const int8_t *x, int32_t depth, int32_t multiplier,
                                       int32_t shift, int32_t reach, const int32_t *table,
                                       int32_t *max, int32_t *bits)
{
    int32_t largest = x[0], sum = 0;
    for (int32_t i = 1; i < depth; i++) {
        largest = thm_max(largest, x[i]);
    }
    for (int32_t i = 0; i < depth; i++) {
        sum += thm_rdivpot(thm_softmax_exp(largest - x[i], multiplier, shift, reach, table),
                           THM_SOFTMAX_SUM_BITS);
    }
    *max = largest;
    return thm_reciprocal(sum, THM_SOFTMAX_SUM_BITS, bits);
}

typedef struct {
    int32_t vectors, depth, x_ring, y_ring;
    int32_t multiplier, shift, reach;
} thm_softmax_s8_params;

/* y in 1/256, zero point -128. Of over 2^9 equal elements each has 0 (TFLM shifts by over 31). */
THM_KERNEL void thm_softmax_s8(const thm_softmax_s8_params *p, int32_t y_first, int32_t y_count,
                               const int8_t *x, const int32_t *table, int8_t *y)
{
    const int32_t row = p->vectors * p->depth;
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const int8_t *from = x + thm_ring(r, p->x_ring) * row;
        int8_t *to = y + thm_ring(r, p->y_ring) * row;
        for (int32_t v = 0; v < p->vectors; v++, from += p->depth, to += p->depth) {
            int32_t max, bits;
            const int32_t factor = thm_softmax_prepare(from, p->depth, p->multiplier, p->shift,
                                                       p->reach, table, &max, &bits);
            const int32_t exponent = bits + 31 - 8;
            for (int32_t i = 0; i < p->depth; i++) {
                const int32_t e = thm_srdhm_positive(
                    thm_softmax_exp(max - from[i], p->multiplier, p->shift, p->reach, table),
                    factor);
                const int32_t q = exponent > 31 ? 0 : thm_rdivpot(e, exponent);
                to[i] = (int8_t)thm_min(q - 128, INT8_MAX);
            }
        }
    }
}

typedef struct {
    int32_t vectors, depth, x_ring, y_ring;
    int32_t multiplier, shift, reach;
} thm_softmax_s8_s16_params;

/* The same, y in 1/65536, zero point -32768. */
THM_KERNEL void thm_softmax_s8_s16(const thm_softmax_s8_s16_params *p, int32_t y_first,
                                   int32_t y_count, const int8_t *x, const int32_t *table,
                                   int16_t *y)
{
    const int32_t row = p->vectors * p->depth;
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const int8_t *from = x + thm_ring(r, p->x_ring) * row;
        int16_t *to = y + thm_ring(r, p->y_ring) * row;
        for (int32_t v = 0; v < p->vectors; v++, from += p->depth, to += p->depth) {
            int32_t max, bits;
            const int32_t factor = thm_softmax_prepare(from, p->depth, p->multiplier, p->shift,
                                                       p->reach, table, &max, &bits);
            for (int32_t i = 0; i < p->depth; i++) {
                const int32_t e = thm_srdhm_positive(
                    thm_softmax_exp(max - from[i], p->multiplier, p->shift, p->reach, table),
                    factor);
                const int32_t q = thm_rdivpot(e, bits + 31 - 16) - 32768;
                to[i] = (int16_t)thm_min(q, INT16_MAX);
            }
        }
    }
}

typedef struct {
    int32_t vectors, depth, x_ring, y_ring;
    int32_t multiplier, shift;
} thm_softmax_s16_params;

/* y in 1/32768; the exps are kept in y until their sum is known. exp_table over [-10, 0],
 * reciprocal_table 1 / (1 + x) over [0, 1], both in 2/65535 or finer (ops/softmax.py). */
THM_KERNEL void thm_softmax_s16(const thm_softmax_s16_params *p, int32_t y_first, int32_t y_count,
                                const int16_t *x, const int16_t *exp_table,
                                const int16_t *reciprocal_table, int16_t *y)
{
    const int32_t row = p->vectors * p->depth;
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const int16_t *from = x + thm_ring(r, p->x_ring) * row;
        int16_t *to = y + thm_ring(r, p->y_ring) * row;
        for (int32_t v = 0; v < p->vectors; v++, from += p->depth, to += p->depth) {
            int32_t max = from[0], sum = 0;
            for (int32_t i = 1; i < p->depth; i++) {
                max = thm_max(max, from[i]);
            }
            for (int32_t i = 0; i < p->depth; i++) {
                const int32_t d = thm_requantize(from[i] - max, p->multiplier, p->shift);
                to[i] = (int16_t)thm_lut16(exp_table, thm_max(d + 32767, INT16_MIN));
                sum += to[i];
            }
            const int32_t headroom = __builtin_clz((uint32_t)sum);
            const uint32_t mantissa = (((uint32_t)sum << (headroom - 1)) + (1u << 13)) >> 14;
            const int32_t factor = thm_lut16(
                reciprocal_table, thm_clamp((int32_t)mantissa - 98304, INT16_MIN, INT16_MAX));
            for (int32_t i = 0; i < p->depth; i++) {
                const int32_t q = (to[i] * factor + (1 << (30 - headroom))) >> (31 - headroom);
                to[i] = (int16_t)thm_clamp(q, 0, INT16_MAX);
            }
        }
    }
}

#endif
