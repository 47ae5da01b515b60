/* The primitives for Helium (Cortex-M55, M85). */
#ifndef THM_ARCH_MVE_H
#define THM_ARCH_MVE_H

#include <arm_mve.h>

#include "mve_tile.h"

#define THM_TILE_WRAPS 1 /* positions of a tile may go on at the start of a ring */

/* to[0 .. bytes) = from[0 .. bytes). In assembly, since compilers make it a slower call of memcpy. */
THM_INLINE void thm_copy_s8(int8_t *to, const int8_t *from, int32_t bytes)
{
    __asm__ volatile("wlstp.8 lr, %[bytes], 2f\n"
                     "1:\n\t"
                     "vldrb.8 q0, [%[from]], #16\n\t"
                     "vstrb.8 q0, [%[to]], #16\n\t"
                     "letp lr, 1b\n"
                     "2:\n\t"
                     : [to] "+r"(to), [from] "+r"(from)
                     : [bytes] "r"(bytes)
                     : "lr", "q0", "cc", "memory");
}

/* `rows` runs of `bytes`, to_step and from_step apart. */
THM_INLINE void thm_copy_rows_s8(int8_t *to, int32_t to_step, const int8_t *from, int32_t from_step,
                                 int32_t bytes, int32_t rows)
{
    if (bytes <= 16) {
        const mve_pred16_t lanes = vctp8q((uint32_t)bytes);
        for (; rows > 0; rows--) {
            vstrbq_p_s8(to, vldrbq_z_s8(from, lanes), lanes);
            to += to_step;
            from += from_step;
        }
        return;
    }
    for (; rows > 0; rows--) {
        thm_copy_s8(to, from, bytes);
        to += to_step;
        from += from_step;
    }
}

/* to[0 .. bytes) = value */
THM_INLINE void thm_fill_s8(int8_t *to, int32_t value, int32_t bytes)
{
    __asm__ volatile("vdup.8 q0, %[value]\n\t"
                     "wlstp.8 lr, %[bytes], 2f\n"
                     "1:\n\t"
                     "vstrb.8 q0, [%[to]], #16\n\t"
                     "letp lr, 1b\n"
                     "2:\n\t"
                     : [to] "+r"(to)
                     : [value] "r"(value), [bytes] "r"(bytes)
                     : "lr", "q0", "cc", "memory");
}

THM_INLINE void thm_depthwise_tile_s8(const thm_depthwise_tile *t)
{
    thm_depthwise_tile_any_s8(t);
}

#endif
