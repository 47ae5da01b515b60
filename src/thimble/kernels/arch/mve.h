/* The primitives for Helium (Cortex-M55, M85): 16 products an instruction.
 *
 * Weights are packed with oc_block 4, k_block 16. VMLADAVA adds the products of 16 lanes to a core
 * register; four sums are then one vector of outputs, requantized together.
 */
#ifndef THM_ARCH_MVE_H
#define THM_ARCH_MVE_H

#include <arm_mve.h>

#include "tile.h"

#define THM_POSITIONS 2

THM_INLINE int32x4_t thm_four_mve(int32_t a, int32_t b, int32_t c, int32_t d)
{
    const int32x4_t four = {a, b, c, d};
    return four;
}

/* round(acc * multiplier * 2^(shift - 31)) in four lanes, bit for bit thm_requantize. */
THM_INLINE int32x4_t thm_requantize_mve(int32x4_t acc, int32x4_t multiplier, int32x4_t shift)
{
    const int32x4_t right = vminq_s32(shift, vdupq_n_s32(0));
    const int32x4_t left = vmaxq_s32(shift, vdupq_n_s32(0));
    const int32x4_t product = vqrdmulhq_s32(vshlq_s32(acc, left), multiplier);
    /* VRSHL rounds halves up, TFLite away from zero: one less where negative and shifted right. */
    const int32x4_t fixup = vshrq_n_s32(vandq_s32(product, right), 31);
    return vrshlq_s32(vqaddq_s32(product, fixup), right);
}

THM_INLINE void thm_store_4_mve(const thm_tile *t, int32_t n, int32_t o, int32x4_t acc)
{
    const mve_pred16_t lanes = vctp32q((uint32_t)(t->outputs - o));
    int32x4_t multiplier, shift;
    if (t->per_channel) {
        multiplier = vldrwq_z_s32(t->multiplier + o, lanes);
        shift = vldrbq_z_s32(t->shift + o, lanes);
    } else {
        multiplier = vdupq_n_s32(t->multiplier[0]);
        shift = vdupq_n_s32(t->shift[0]);
    }
    int32x4_t q = thm_requantize_mve(acc, multiplier, shift);
    q = vaddq_n_s32(q, t->output_offset);
    q = vminq_s32(vmaxq_s32(q, vdupq_n_s32(t->act_min)), vdupq_n_s32(t->act_max));
    vstrbq_p_s32(t->y + n * t->y_step + o, q, lanes);
}

THM_INLINE void thm_tile_s8(const thm_tile t, int32_t n)
{
    if (t.oc_block != 4 || t.k_block != 16) {
        thm_tile_any_s8(t, n);
        return;
    }
    const int8_t *w = t.w;
    for (int32_t o = 0; o < t.outputs; o += 4) {
        const mve_pred16_t lanes = vctp32q((uint32_t)(t.outputs - o));
        const int32x4_t bias = vldrwq_z_s32(t.bias + o, lanes);
        const int8_t *x = t.x;
        if (n == 2) {
            int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
            for (int32_t s = 0; s < t.segments; s++) {
                const int8_t *x0 = x, *x1 = x + t.x_step;
                for (int32_t k = t.length; k > 0; k -= 16) {
                    const mve_pred16_t p = vctp8q((uint32_t)k);
                    const int8x16_t v0 = vldrbq_z_s8(x0, p), v1 = vldrbq_z_s8(x1, p);
                    int8x16_t c = vldrbq_s8(w);
                    a0 = vmladavaq_s8(a0, c, v0);
                    b0 = vmladavaq_s8(b0, c, v1);
                    c = vldrbq_s8(w + 16);
                    a1 = vmladavaq_s8(a1, c, v0);
                    b1 = vmladavaq_s8(b1, c, v1);
                    c = vldrbq_s8(w + 32);
                    a2 = vmladavaq_s8(a2, c, v0);
                    b2 = vmladavaq_s8(b2, c, v1);
                    c = vldrbq_s8(w + 48);
                    a3 = vmladavaq_s8(a3, c, v0);
                    b3 = vmladavaq_s8(b3, c, v1);
                    w += 64;
                    x0 += 16;
                    x1 += 16;
                }
                x = thm_tile_next(&t, x);
            }
            thm_store_4_mve(&t, 0, o, vaddq_s32(thm_four_mve(a0, a1, a2, a3), bias));
            thm_store_4_mve(&t, 1, o, vaddq_s32(thm_four_mve(b0, b1, b2, b3), bias));
        } else {
            int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
            for (int32_t s = 0; s < t.segments; s++) {
                const int8_t *x0 = x;
                for (int32_t k = t.length; k > 0; k -= 16) {
                    const int8x16_t v0 = vldrbq_z_s8(x0, vctp8q((uint32_t)k));
                    a0 = vmladavaq_s8(a0, vldrbq_s8(w), v0);
                    a1 = vmladavaq_s8(a1, vldrbq_s8(w + 16), v0);
                    a2 = vmladavaq_s8(a2, vldrbq_s8(w + 32), v0);
                    a3 = vmladavaq_s8(a3, vldrbq_s8(w + 48), v0);
                    w += 64;
                    x0 += 16;
                }
                x = thm_tile_next(&t, x);
            }
            thm_store_4_mve(&t, 0, o, vaddq_s32(thm_four_mve(a0, a1, a2, a3), bias));
        }
    }
}

THM_INLINE void thm_depthwise_tile_s8(const thm_depthwise_tile *t)
{
    thm_depthwise_tile_any_s8(t);
}

#endif
