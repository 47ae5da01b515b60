/* Rows of four channels, taken apart: pairs of columns of one channel as two int16, so that SMLAD sums two
 * taps of a row. Borders become columns of x_zero. */
#ifndef THM_ARCH_PLANAR_H
#define THM_ARCH_PLANAR_H

#include "dsp.h"

/* What a row needs several times. */
#if defined(__OPTIMIZE_SIZE__)
#define THM_PLANAR_PART static THM_NOINLINE THM_UNUSED
#else
#define THM_PLANAR_PART THM_INLINE
#endif

typedef struct {
    int32_t channels;     /* of x */
    int32_t lanes;        /* channels wanted, in [1, 4] */
    int32_t words, pitch; /* pairs of columns; words from channel to channel */
    int32_t x_zero;
    /* Words before and behind those that reach into the image; whether the first and the last of those lie
     * half outside, and how many lie wholly inside. */
    int32_t before, behind, half_first, half_last, inside;
    int32_t column;       /* of the first whole word */
} thm_planar;

/* Columns [first, first + 2 * words) of an image of in_w. */
THM_INLINE void thm_planar_columns(thm_planar *g, int32_t in_w, int32_t first)
{
    g->before = first < 0 ? thm_min(-first >> 1, g->words) : 0;
    int32_t left = g->words - g->before;
    g->column = first + 2 * g->before;
    g->half_first = left > 0 && g->column < 0;
    left -= g->half_first;
    g->column += 2 * g->half_first;
    g->inside = thm_max(thm_min(left, (in_w - g->column) >> 1), 0);
    left -= g->inside;
    g->half_last = left > 0 && g->column + 2 * g->inside < in_w;
    g->behind = left - g->half_last;
}

/* to[lane * pitch + i] = x_zero, i < count */
THM_PLANAR_PART void thm_planar_zeros(const thm_planar *g, int32_t *to, int32_t count)
{
    const int32_t zeros = thm_pkhbt(g->x_zero, g->x_zero);
    for (; count > 0; count--, to++) {
        for (int32_t lane = 0; lane < g->lanes; lane++) {
            to[lane * g->pitch] = zeros;
        }
    }
}

/* The words outside the image of one slot, which no row changes. */
THM_INLINE void thm_planar_border(const thm_planar *g, int32_t *to)
{
    thm_planar_zeros(g, to, g->before);
    thm_planar_zeros(g, to + g->words - g->behind, g->behind);
}

/* Two columns of lanes, a byte each (or x_zero where null), as pairs of int16. */
THM_PLANAR_PART void thm_planar_pairs(const thm_planar *g, const int8_t *a, const int8_t *b,
                                      int32_t *to)
{
    if (THM_THUMB1 || g->lanes < 4) {
        for (int32_t lane = 0; lane < g->lanes; lane++) {
            const int32_t low = a != 0 ? a[lane] : g->x_zero;
            to[lane * g->pitch] = thm_pkhbt(low, b != 0 ? b[lane] : g->x_zero);
        }
        return;
    }
    const int32_t zeros = thm_pkhbt(g->x_zero, g->x_zero);
    int32_t a_even = zeros, a_odd = zeros, b_even = zeros, b_odd = zeros, four;
    if (a != 0) {
        memcpy(&four, a, 4);
        a_even = thm_sxtb16(four);
        a_odd = thm_sxtb16_odd(four);
    }
    if (b != 0) {
        memcpy(&four, b, 4);
        b_even = thm_sxtb16(four);
        b_odd = thm_sxtb16_odd(four);
    }
    to[0] = thm_pkhbt(a_even, b_even);
    to[g->pitch] = thm_pkhbt(a_odd, b_odd);
    to[2 * g->pitch] = thm_pkhtb(b_even, a_even);
    to[3 * g->pitch] = thm_pkhtb(b_odd, a_odd);
}

/* to[lane * pitch + i] = a row's columns (first + 2 * i, first + 2 * i + 1), so far as they reach into the
 * image; x: its first channel wanted at column 0, or null for a row outside the image. */
THM_INLINE void thm_planar_row(const thm_planar *g, const int8_t *x, int32_t *to)
{
    const int32_t step = g->channels;
    to += g->before;
    if (x == 0) {
        thm_planar_zeros(g, to, g->half_first + g->inside + g->half_last);
        return;
    }
    if (g->half_first) {
        thm_planar_pairs(g, 0, x, to++);
    }
    x += g->column * step;
    for (const int32_t *const end = to + g->inside; to < end; x += 2 * step) {
        thm_planar_pairs(g, x, x + step, to++);
    }
    if (g->half_last) {
        thm_planar_pairs(g, x, 0, to);
    }
}

#endif
