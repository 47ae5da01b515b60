/* The primitives of a core in plain C. Every other file in this folder implements the same ones:
 * same results, bit for bit; sums wrap as two's complement int32. */
#ifndef THM_ARCH_SCALAR_H
#define THM_ARCH_SCALAR_H

#include "../fixedpoint.h"
#include "tile.h"

#define THM_TILE_WRAPS 0

/* Two outputs at two positions over one segment; weights packed with oc_block 2, k_block 1. */
THM_INLINE void thm_mac_2x2_s8(int32_t *acc, const int8_t *w, const int8_t *x0, const int8_t *x1,
                               int32_t count)
{
    int32_t a00 = acc[0], a01 = acc[1], a10 = acc[2], a11 = acc[3];
    for (int32_t k = 0; k < count; k++) {
        const int32_t w0 = w[2 * k], w1 = w[2 * k + 1];
        const int32_t v0 = x0[k], v1 = x1[k];
        a00 += w0 * v0;
        a01 += w1 * v0;
        a10 += w0 * v1;
        a11 += w1 * v1;
    }
    acc[0] = a00;
    acc[1] = a01;
    acc[2] = a10;
    acc[3] = a11;
}

/* Two outputs at one position. */
THM_INLINE void thm_mac_2x1_s8(int32_t *acc, const int8_t *w, const int8_t *x, int32_t count)
{
    int32_t a0 = acc[0], a1 = acc[1];
    for (int32_t k = 0; k < count; k++) {
        const int32_t v = x[k];
        a0 += w[2 * k] * v;
        a1 += w[2 * k + 1] * v;
    }
    acc[0] = a0;
    acc[1] = a1;
}

/* All outputs of `n` adjacent positions, n at least 1. */
THM_INLINE void thm_tile_s8(thm_tile t, int32_t n)
{
    if (t.oc_block != 2 || t.k_block != 1) {
        thm_tile_any_s8(t, n);
        return;
    }
    const int32_t w_step = 2 * t.length;
    for (; n >= 2; n -= 2) {
        const int8_t *w = t.w;
        for (int32_t o = 0; o < t.outputs; o += 2) {
            const int32_t second = o + 1 < t.outputs ? o + 1 : o;
            int32_t acc[4] = {t.bias[o], t.bias[second], t.bias[o], t.bias[second]};
            const int8_t *x = t.x;
            for (int32_t s = 0; s < t.segments; s++) {
                thm_mac_2x2_s8(acc, w, x, x + t.x_step, t.length);
                w += w_step;
                x = thm_tile_next(&t, x);
            }
            thm_tile_store(&t, 0, o, acc[0]);
            thm_tile_store(&t, 1, o, acc[2]);
            if (o + 1 < t.outputs) {
                thm_tile_store(&t, 0, o + 1, acc[1]);
                thm_tile_store(&t, 1, o + 1, acc[3]);
            }
        }
        t.x += 2 * t.x_step;
        t.y += 2 * t.y_step;
    }
    if (n == 0) {
        return;
    }
    const int8_t *w = t.w;
    for (int32_t o = 0; o < t.outputs; o += 2) {
        const int32_t second = o + 1 < t.outputs ? o + 1 : o;
        int32_t acc[2] = {t.bias[o], t.bias[second]};
        const int8_t *x = t.x;
        for (int32_t s = 0; s < t.segments; s++) {
            thm_mac_2x1_s8(acc, w, x, t.length);
            w += w_step;
            x = thm_tile_next(&t, x);
        }
        thm_tile_store(&t, 0, o, acc[0]);
        if (o + 1 < t.outputs) {
            thm_tile_store(&t, 0, o + 1, acc[1]);
        }
    }
}

/* to[0 .. bytes) = from[0 .. bytes) */
THM_INLINE void thm_copy_s8(int8_t *to, const int8_t *from, int32_t bytes)
{
    memcpy(to, from, (size_t)bytes);
}

/* `rows` runs of `bytes`, to_step and from_step apart. */
THM_INLINE void thm_copy_rows_s8(int8_t *to, int32_t to_step, const int8_t *from, int32_t from_step,
                                 int32_t bytes, int32_t rows)
{
    for (; rows > 0; rows--) {
        thm_copy_s8(to, from, bytes);
        to += to_step;
        from += from_step;
    }
}

/* to[0 .. bytes) = value */
THM_INLINE void thm_fill_s8(int8_t *to, int32_t value, int32_t bytes)
{
    memset(to, value, (size_t)bytes);
}

THM_INLINE void thm_depthwise_tile_s8(const thm_depthwise_tile *t)
{
    thm_depthwise_tile_any_s8(t);
}

#endif
