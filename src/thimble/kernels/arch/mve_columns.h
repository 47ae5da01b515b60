/* CONV_2D by columns on Helium: rows are interleaved by scattered stores, patches of several rows are one
 * tile. */
#ifndef THM_ARCH_MVE_COLUMNS_H
#define THM_ARCH_MVE_COLUMNS_H

#include "mve_tile.h"

/* n vectors of `bytes` bytes, from_step apart, to the places `at`, each to_step after the last. */
THM_INLINE void thm_mve_scatter(const int8_t *from, int32_t from_step, int32_t bytes, int8_t *to,
                                int32_t to_step, uint8x16_t at, int32_t n)
{
    __asm__ volatile("vctp.8 %[bytes]\n\t"
                     "wls lr, %[n], 2f\n"
                     "1:\n\t"
                     "vpstt\n\t"
                     "vldrbt.8 q0, [%[from]]\n\t"
                     "vstrbt.8 q0, [%[to], %q[at]]\n\t"
                     "add %[from], %[from], %[from_step]\n\t"
                     "add %[to], %[to], %[to_step]\n\t"
                     "le lr, 1b\n"
                     "2:\n\t"
                     : [from] "+r"(from), [to] "+r"(to)
                     : [bytes] "r"(bytes), [n] "r"(n), [from_step] "r"(from_step),
                       [to_step] "r"(to_step), [at] "w"(at)
                     : "lr", "q0", "cc", "memory");
}

/* The same of 16 bytes side by side. */
THM_INLINE void thm_mve_move(const int8_t *from, int32_t from_step, int8_t *to, int32_t to_step,
                             int32_t n)
{
    __asm__ volatile("wls lr, %[n], 2f\n"
                     "1:\n\t"
                     "vldrb.8 q0, [%[from]]\n\t"
                     "add %[from], %[from], %[from_step]\n\t"
                     "vstrb.8 q0, [%[to]]\n\t"
                     "add %[to], %[to], %[to_step]\n\t"
                     "le lr, 1b\n"
                     "2:\n\t"
                     : [from] "+r"(from), [to] "+r"(to)
                     : [n] "r"(n), [from_step] "r"(from_step), [to_step] "r"(to_step)
                     : "lr", "q0", "cc", "memory");
}

/* `count` columns of in_c bytes, side by side at `from` (or x_zero where that is 0), go to `to`, each `pitch`
 * bytes after the other: several of them in one vector where its places lie within 255 bytes. */
__attribute__((noinline, unused)) static void thm_spread_s8(const int8_t *from, int32_t x_zero,
                                                            int32_t in_c, int32_t count,
                                                            int8_t *to, int32_t pitch)
{
    int8_t zeros[16];
    const uint8x16_t lane = vidupq_n_u8(0, 1);
    if (!from) {
        vstrbq_s8(zeros, vdupq_n_s8((int8_t)x_zero));
    }
    if (in_c > 8) {
        for (int32_t c = 0; c < in_c; c += 16) {
            const int8_t *x = from ? from + c : zeros;
            const int32_t step = from ? in_c : 0;
            if (in_c - c >= 16) {
                thm_mve_move(x, step, to + c, pitch, count);
            } else {
                thm_mve_scatter(x, step, in_c - c, to + c, pitch, lane, count);
            }
        }
        return;
    }
    const int32_t together = thm_min(16 / in_c, (256 - in_c) / pitch + 1);
    /* Lanes over in_c: the product's upper half, exact for lanes below 16. */
    const uint8x16_t column =
        in_c == 1 ? lane : vmulhq_u8(lane, vdupq_n_u8((uint8_t)((255 + in_c) / in_c)));
    const uint8x16_t at = vmlaq_n_u8(lane, column, (uint8_t)(pitch - in_c));
    const int32_t whole = count / together, step = together * in_c;
    thm_mve_scatter(from ? from : zeros, from ? step : 0, step, to, together * pitch, at, whole);
    thm_mve_scatter(from ? from + whole * step : zeros, 0, (count - whole * together) * in_c,
                    to + whole * together * pitch, 0, at, whole * together < count);
}

/* The outputs of `rows` rows of patches, row_bytes apart. */
THM_INLINE void thm_columns_tile_s8(thm_tile t, int32_t rows, int32_t row_bytes, int32_t out_w)
{
    if (t.oc_block != 4 || t.k_block != 16) {
        for (; rows > 0; rows--) {
            thm_tile_any_s8(t, out_w);
            t.x += row_bytes;
            t.y += out_w * t.y_step;
        }
        return;
    }
    t.row = rows > 1 ? out_w : 0;
    t.row_gap = row_bytes - out_w * t.x_step;
    thm_tile_mve(&t, rows * out_w);
}

#endif
