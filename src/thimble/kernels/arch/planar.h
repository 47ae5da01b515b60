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

/* Four columns of lanes of one row: where a column lies, x_zero outside the image. */
THM_INLINE const int8_t *thm_planar_column(const thm_planar *g, const int8_t *x, int32_t column,
                                           const int8_t *zeros)
{
    return x != 0 && column >= 0 && column < g->in_w ? x + column * g->channels : zeros;
}

/* to[lane * pitch + i] = columns (first + 2 * i, first + 2 * i + 1) of a row; x: its first channel wanted at
 * column 0, or null for a row outside the image. */
THM_INLINE void thm_planar_row(const thm_planar *g, const int8_t *x, int32_t first, int32_t *to)
{
    const int8_t zero = (int8_t)g->x_zero, zeros[4] = {zero, zero, zero, zero};
    for (int32_t i = 0, column = first; i < g->words; i++, column += 2, to++) {
        const int8_t *a = thm_planar_column(g, x, column, zeros);
        const int8_t *b = thm_planar_column(g, x, column + 1, zeros);
        if (THM_THUMB1 || g->lanes < 4) {
            for (int32_t lane = 0; lane < g->lanes; lane++) {
                to[lane * g->pitch] = thm_pkhbt(a[lane], b[lane]);
            }
        } else {
            int32_t a4, b4;
            memcpy(&a4, a, 4);
            memcpy(&b4, b, 4);
            const int32_t a_even = thm_sxtb16(a4), b_even = thm_sxtb16(b4);
            const int32_t a_odd = thm_sxtb16_odd(a4), b_odd = thm_sxtb16_odd(b4);
            to[0] = thm_pkhbt(a_even, b_even);
            to[g->pitch] = thm_pkhbt(a_odd, b_odd);
            to[2 * g->pitch] = thm_pkhtb(b_even, a_even);
            to[3 * g->pitch] = thm_pkhtb(b_odd, a_odd);
        }
    }
}

#endif
