/* LOGISTIC and TANH of one int16 by the 256-entry table of sigmoid(k / 24) in 1/65536 (sigmoid.py).
 * `multiplier` and the right shift `shift` bring x to the scale 1 / (3 * 4096). */
#ifndef THM_SIGMOID_H
#define THM_SIGMOID_H

#include "thm.h"

THM_INLINE int32_t thm_sigmoid_scaled(int32_t x, int32_t multiplier, int32_t shift)
{
    return (x * multiplier + (shift > 0 ? 1 << (shift - 1) : 0)) >> shift;
}

/* The table at magnitude / 2^bits, linear in between, in 1 / 2^(16 + bits). */
THM_INLINE int32_t thm_sigmoid_interpolated(const uint16_t *table, int32_t magnitude, int32_t bits,
                                            int32_t beyond)
{
    const int32_t k = magnitude >> bits;
    if (k >= 255) {
        return beyond * (1 << bits);
    }
    return table[k] * (1 << bits) + (magnitude & ((1 << bits) - 1)) * (table[k + 1] - table[k]);
}

/* sigmoid(x) in 1/32768 */
THM_INLINE int16_t thm_sigmoid_s16(const uint16_t *table, int32_t x, int32_t multiplier,
                                   int32_t shift)
{
    const int32_t v = thm_sigmoid_scaled(x, multiplier, shift);
    const int32_t r = thm_sigmoid_interpolated(table, v < 0 ? -v : v, 9, 0x7FFF << 1);
    return (int16_t)((v >= 0 ? r + (1 << 9) : (1 << 25) - r + (1 << 9) - 1) >> 10);
}

/* tanh(x) = 2 sigmoid(2 x) - 1 in 1/32768 */
THM_INLINE int16_t thm_tanh_by_table_s16(const uint16_t *table, int32_t x, int32_t multiplier,
                                         int32_t shift)
{
    const int32_t v = thm_sigmoid_scaled(x, multiplier, shift);
    const int32_t r =
        thm_sigmoid_interpolated(table, v < 0 ? -v : v, 8, 0xFFFF) - (1 << 23);
    return (int16_t)((v >= 0 ? r + (1 << 7) : -r + (1 << 7) - 1) >> 8);
}

#endif
