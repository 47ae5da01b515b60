/* ADD, SUB and pooling on Helium. */
#ifndef THM_ARCH_MVE_ELEMENTWISE_H
#define THM_ARCH_MVE_ELEMENTWISE_H

#include <arm_mve.h>

#include "../thm.h"

/* round(x * multiplier * 2^(shift - 31)), shift in [-31, 0]: thm_requantize_down in four lanes. */
THM_INLINE int32x4_t thm_mve_down(int32x4_t x, int32_t multiplier, int32_t shift)
{
    const int32x4_t product = vqrdmulhq_n_s32(x, multiplier);
    /* Halves go away from zero: one less where negative, if there is a shift at all. */
    const int32x4_t sign = vshlq_r_s32(product, shift < 0 ? -31 : 32);
    return vrshlq_n_s32(vaddq_s32(product, sign), shift);
}

typedef struct {
    int32_t offset, multiplier, shift;
} thm_mve_operand;

/* (x + offset) * 2^20, scaled. */
THM_INLINE int32x4_t thm_mve_scaled(int32x4_t x, thm_mve_operand p)
{
    /* The larger scale's factor is exactly one half: a shift less. */
    const int32_t is_half = p.multiplier == 1 << 30 && p.shift == 0;
    const int32_t unit = is_half ? 1 << 19 : 1 << 20;
    x = vmlasq_n_s32(x, vdupq_n_s32(unit), p.offset * unit);
    return is_half ? x : thm_mve_down(x, p.multiplier, p.shift);
}

typedef struct {
    thm_mve_operand x1, x2, y;
    int32_t subtract, act_min, act_max;
} thm_mve_sum;

/* y[i] = clamp(x1[i] + x2[i]), `count` elements side by side. */
THM_INLINE void thm_mve_add_run_s8(const thm_mve_sum t, const int8_t *x1, const int8_t *x2, int8_t *y,
                                   int32_t count)
{
    for (; count > 0; count -= 4) {
        const mve_pred16_t lanes = vctp32q((uint32_t)count);
        const int32x4_t u = thm_mve_scaled(vldrbq_z_s32(x1, lanes), t.x1);
        const int32x4_t v = thm_mve_scaled(vldrbq_z_s32(x2, lanes), t.x2);
        const int32x4_t sum = t.subtract ? vsubq_s32(u, v) : vaddq_s32(u, v);
        int32x4_t q = vaddq_n_s32(thm_mve_down(sum, t.y.multiplier, t.y.shift), t.y.offset);
        q = vminq_s32(vmaxq_s32(q, vdupq_n_s32(t.act_min)), vdupq_n_s32(t.act_max));
        vstrbq_p_s32(y, q, lanes);
        x1 += 4;
        x2 += 4;
        y += 4;
    }
}

typedef struct {
    int32_t x1_factor, x2_factor, constant, shift, act_min, act_max;
} thm_mve_affine;

/* y[i] = clamp((x1[i] * x1_factor + x2[i] * x2_factor + constant) >> shift), `count` elements side by side.
 */
THM_INLINE void thm_mve_affine_run_s8(const thm_mve_affine t, const int8_t *x1, const int8_t *x2,
                                      int8_t *y, int32_t count)
{
    const int32x4_t factor = vdupq_n_s32(t.x1_factor);
    const int32x4_t low = vdupq_n_s32(t.act_min), high = vdupq_n_s32(t.act_max);
    __asm__ volatile("wlstp.32 lr, %[count], 2f\n"
                     "1:\n\t"
                     "vldrb.s32 q0, [%[x1]], #4\n\t"
                     "vldrb.s32 q1, [%[x2]], #4\n\t"
                     "vmlas.s32 q0, %q[factor], %[constant]\n\t"
                     "vmla.s32 q0, q1, %[x2_factor]\n\t"
                     "vshl.s32 q0, %[left]\n\t"
                     "vmax.s32 q0, q0, %q[low]\n\t"
                     "vmin.s32 q0, q0, %q[high]\n\t"
                     "vstrb.32 q0, [%[y]], #4\n\t"
                     "letp lr, 1b\n"
                     "2:\n\t"
                     : [x1] "+l"(x1), [x2] "+l"(x2), [y] "+l"(y)
                     : [count] "r"(count), [constant] "r"(t.constant),
                       [x2_factor] "r"(t.x2_factor), [left] "r"(-t.shift), [factor] "w"(factor),
                       [low] "w"(low), [high] "w"(high)
                     : "lr", "q0", "q1", "cc", "memory");
}

/* acc[0 .. 8) = sum or maximum of `height` rows of `width` runs of 8 channels, at most 255 in all. */
THM_INLINE void thm_mve_pool_s8(const int8_t *x, int32_t step, int32_t row_step, int32_t height,
                                int32_t width, int32_t is_max, mve_pred16_t lanes, int16_t *acc)
{
    int16x8_t sum = vldrhq_s16(acc);
    for (int32_t sy = 0; sy < height; sy++) {
        const int8_t *v = x + sy * row_step;
        for (int32_t sx = 0; sx < width; sx++, v += step) {
            const int16x8_t value = vldrbq_z_s16(v, lanes);
            sum = is_max ? vmaxq_s16(sum, value) : vaddq_s16(sum, value);
        }
    }
    vstrhq_s16(acc, sum);
}

#endif
