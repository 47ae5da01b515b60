/* Rows of four channels, taken apart: pairs of columns of one channel as two int16, so that SMLAD sums two
 * taps of a row. Borders become columns of x_zero. */
#ifndef THM_ARCH_PLANAR_H
#define THM_ARCH_PLANAR_H

#include "dsp.h"

typedef struct {
    int32_t in_w, channels; /* of x */
    int32_t lanes;          /* channels wanted, in [1, 4] */
    int32_t words, pitch;   /* pairs of columns; words from channel to channel */
    int32_t x_zero;
} thm_planar;

/* The bytes of the lanes at one column, x_zero outside the image. */
THM_INLINE int32_t thm_planar_column(const thm_planar *g, const int8_t *x, int32_t column)
{
    int32_t four = (int32_t)((uint32_t)(g->x_zero & 0xFF) * 0x01010101u);
    if (column >= 0 && column < g->in_w) {
        memcpy(&four, x + column * g->channels, (size_t)g->lanes);
    }
    return four;
}

/* to[lane * pitch + i] = columns (first + 2 * i, first + 2 * i + 1) of a row; x: its first channel wanted at
 * column 0, or null for a row outside the image. */
THM_INLINE void thm_planar_row(const thm_planar *g, const int8_t *x, int32_t first, int32_t *to)
{
    const int32_t limit = x == 0 ? -2 : g->in_w;
    for (int32_t i = 0, column = first; i < g->words; i++, column += 2, to++) {
        int32_t a, b;
        if (g->lanes == 4 && column >= 0 && column + 1 < limit) {
            const int8_t *from = x + column * g->channels;
            memcpy(&a, from, 4);
            memcpy(&b, from + g->channels, 4);
        } else {
            a = thm_planar_column(g, x, limit < 0 ? -1 : column);
            b = thm_planar_column(g, x, limit < 0 ? -1 : column + 1);
        }
        const int32_t a_even = thm_sxtb16(a), b_even = thm_sxtb16(b);
        const int32_t a_odd = thm_sxtb16_odd(a), b_odd = thm_sxtb16_odd(b);
        to[0] = thm_pkhbt(a_even, b_even);
        to[g->pitch] = thm_pkhbt(a_odd, b_odd);
        to[2 * g->pitch] = thm_pkhtb(b_even, a_even);
        to[3 * g->pitch] = thm_pkhtb(b_odd, a_odd);
    }
}

#endif
