/* The primitives for Helium (Cortex-M55, M85). */
#ifndef THM_ARCH_MVE_H
#define THM_ARCH_MVE_H

#include <arm_mve.h>

#include "mve_tile.h"

/* to[0 .. bytes) = from[0 .. bytes) */
THM_INLINE void thm_copy_s8(int8_t *to, const int8_t *from, int32_t bytes)
{
    for (; bytes > 0; bytes -= 16) {
        const mve_pred16_t lanes = vctp8q((uint32_t)bytes);
        vstrbq_p_s8(to, vldrbq_z_s8(from, lanes), lanes);
        to += 16;
        from += 16;
    }
}

/* to[0 .. bytes) = value */
THM_INLINE void thm_fill_s8(int8_t *to, int32_t value, int32_t bytes)
{
    const int8x16_t vector = vdupq_n_s8((int8_t)value);
    for (; bytes > 0; bytes -= 16) {
        vstrbq_p_s8(to, vector, vctp8q((uint32_t)bytes));
        to += 16;
    }
}

THM_INLINE void thm_depthwise_tile_s8(const thm_depthwise_tile *t)
{
    thm_depthwise_tile_any_s8(t);
}

#endif
