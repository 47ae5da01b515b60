/* Sums over rows as they come (row_sums.h): of columns, and of products of four outputs. Results wrap as
 * two's complement int32 and are the same on every core. */
#ifndef THM_ARCH_SUMS_H
#define THM_ARCH_SUMS_H

#include "arch.h"
#include "dsp.h"

#if THM_DSP
#define THM_SUMS_COLUMNS 256 /* which two int16 hold the sum of */

/* acc[0 .. 4) += the sums of `columns` runs of four bytes, `step` apart */
THM_INLINE void thm_sum_four(int32_t *acc, const int8_t *x, int32_t step, int32_t columns)
{
    for (int32_t left = columns; left > 0; left -= THM_SUMS_COLUMNS) {
        int32_t even = 0, odd = 0;
        for (int32_t n = thm_min(left, THM_SUMS_COLUMNS); n > 0; n--, x += step) {
            int32_t four;
            memcpy(&four, x, 4);
            even = thm_sadd16(even, thm_sxtb16(four));
            odd = thm_sadd16(odd, thm_sxtb16_odd(four));
        }
        acc[0] += (int16_t)even;
        acc[1] += (int16_t)odd;
        acc[2] += even >> 16;
        acc[3] += odd >> 16;
    }
}
#endif

/* acc[c] += sum of x[i][c], i < columns; x [columns][channels] */
THM_INLINE void thm_sum_columns_s8(int32_t *acc, const int8_t *x, int32_t channels, int32_t columns)
{
    int32_t c = 0;
#if defined(__ARM_FEATURE_MVE)
    for (; c < channels; c += 8) {
        const mve_pred16_t low = vctp32q((uint32_t)(channels - c));
        const mve_pred16_t high = vctp32q((uint32_t)thm_max(channels - c - 4, 0));
        int32x4_t a = vldrwq_z_s32(acc + c, low), b = vldrwq_z_s32(acc + c + 4, high);
        const int8_t *v = x + c;
        for (int32_t n = columns; n > 0; n--, v += channels) {
            a = vaddq_s32(a, vldrbq_z_s32(v, low));
            b = vaddq_s32(b, vldrbq_z_s32(v + 4, high));
        }
        vstrwq_p_s32(acc + c, a, low);
        vstrwq_p_s32(acc + c + 4, b, high);
    }
#elif THM_DSP
    for (; c + 4 <= channels; c += 4) {
        thm_sum_four(acc + c, x + c, channels, columns);
    }
#endif
    for (; c < channels; c++) {
        int32_t sum = acc[c];
        for (int32_t i = 0; i < columns; i++) {
            sum += x[i * channels + c];
        }
        acc[c] = sum;
    }
}

/* acc[i] += sum of w[i * count + k] * x[k], k < count, i < 4 */
THM_INLINE void thm_dot_four_s8(int32_t *acc, const int8_t *w, const int8_t *x, int32_t count)
{
#if defined(__ARM_FEATURE_MVE)
    int32_t a = acc[0], b = acc[1], c = acc[2], d = acc[3];
    const int8_t *const w2 = w + 2 * count;
    for (int32_t k = 0; k < count; k += 16) {
        const mve_pred16_t lanes = vctp8q((uint32_t)(count - k));
        const int8x16_t v = vldrbq_z_s8(x + k, lanes);
        a = vmladavaq_s8(a, v, vldrbq_z_s8(w + k, lanes));
        b = vmladavaq_s8(b, v, vldrbq_z_s8(w + count + k, lanes));
        c = vmladavaq_s8(c, v, vldrbq_z_s8(w2 + k, lanes));
        d = vmladavaq_s8(d, v, vldrbq_z_s8(w2 + count + k, lanes));
    }
    acc[0] = a;
    acc[1] = b;
    acc[2] = c;
    acc[3] = d;
#elif THM_DSP
    int32_t sums[4] = {acc[0], acc[1], acc[2], acc[3]};
    int32_t k = 0;
    for (; k + 4 <= count; k += 4) {
        int32_t four;
        memcpy(&four, x + k, 4);
        const int32_t even = thm_sxtb16(four), odd = thm_sxtb16_odd(four);
        for (int32_t i = 0; i < 4; i++) {
            memcpy(&four, w + i * count + k, 4);
            sums[i] = thm_smlad(even, thm_sxtb16(four), sums[i]);
            sums[i] = thm_smlad(odd, thm_sxtb16_odd(four), sums[i]);
        }
    }
    for (int32_t i = 0; i < 4; i++) {
        acc[i] = sums[i];
        thm_dot_s8(acc + i, w + i * count + k, x + k, count - k);
    }
#else
    for (int32_t i = 0; i < 4; i++) {
        thm_dot_s8(acc + i, w + i * count, x, count);
    }
#endif
}

#endif
