/* Tiles for the DSP extension: four outputs at one or two positions, 3/4 of an instruction a product.
 *
 * Products are walked in chunks of four: elements (0, 2) of x, then (1, 3), as pairs of int16. Weights of
 * outputs A and B and of such a pair lie in one word, each int16 = 256 * A + B. One SMLAD of the word as
 * it is sums 256 * A + B together, one of its low bytes sums B alone; so A needs no byte extracted:
 * sum A = (sum(256 * A + B) - sum B) / 256, exact because |sum A| < 2^23.
 *
 * Weights: [outputs / 4][products / 2][AB, CD], int32. Sums of a position: {256 A + B, B, 256 C + D, D}.
 */
#ifndef THM_ARCH_PAIRS_H
#define THM_ARCH_PAIRS_H

#include "dsp.h"

/* Words of x that a tile keeps on the stack: 640 products of one position, 320 of two. */
#define THM_PAIR_WORDS 320
#define THM_DEEP_PRODUCTS 512 /* of a chunk: their sum is below 2^23 whatever they are */
#define THM_PAIR_POSITIONS (THM_THUMB1 ? 1 : 2)

/* x[0 .. 4) as two pairs */
THM_INLINE void thm_widen_4(const int8_t *x, int32_t *to, int32_t step)
{
    int32_t four;
    memcpy(&four, x, 4);
    to[0] = thm_sxtb16(four);
    to[step] = thm_sxtb16_odd(four);
}

/* x[0 .. count), zeros up to a multiple of four, as pairs (0, 2), (1, 3) at to[0], to[step], ... */
THM_INLINE int32_t *thm_widen(const int8_t *x, int32_t count, int32_t *to, int32_t step)
{
    if (!THM_THUMB1) {
        for (; count >= 4; count -= 4, x += 4, to += 2 * step) {
            thm_widen_4(x, to, step);
        }
    } else if (((uintptr_t)x & 3u) == 0) { /* which loads no word from elsewhere */
        for (; count >= 4; count -= 4, x += 4, to += 2 * step) {
            thm_widen_4(__builtin_assume_aligned(x, 4), to, step);
        }
    } else {
        for (; count >= 4; count -= 4, x += 4, to += 2 * step) {
            to[0] = thm_pkhbt(x[0], x[2]);
            to[step] = thm_pkhbt(x[1], x[3]);
        }
    }
    if (count > 0) {
        const int32_t third = count > 2 ? x[2] : 0, second = count > 1 ? x[1] : 0;
        to[0] = thm_pkhbt(x[0], third);
        to[step] = second & 0xFFFF;
        to += 2 * step;
    }
    return to;
}

/* sums[4] of four outputs at their start: the biases of their records. */
THM_INLINE void thm_pairs_start(int32_t *sums, const int32_t *records)
{
    for (int32_t i = 0; i < 4; i++) {
        sums[i] = records[2 * i] >> 8;
    }
}

/* sums[4] += weights x pairs of one position, the first x[0], the next x[step], of at most 512 products or of
 * a layer whose sums are known to stay below 2^23; returns w at the end. */
THM_INLINE const int32_t *thm_pairs_add(int32_t *sums, const int32_t *w, const int32_t *x,
                                        const int32_t *x_end, int32_t step)
{
    int32_t ab = 0, b = 0, cd = 0, d = 0;
    for (; x != x_end; x += step, w += 2) {
        const int32_t pair = x[0], w0 = w[0], w1 = w[1];
        ab = thm_smlad(w0, pair, ab);
        cd = thm_smlad(w1, pair, cd);
        b = thm_smlad(thm_sxtb16(w0), pair, b);
        d = thm_smlad(thm_sxtb16(w1), pair, d);
    }
    sums[0] += (int32_t)((uint32_t)ab - (uint32_t)b) >> 8;
    sums[1] += b;
    sums[2] += (int32_t)((uint32_t)cd - (uint32_t)d) >> 8;
    sums[3] += d;
    return w;
}

/* y[0 .. min(count, 4)) from the sums of four outputs */
THM_INLINE void thm_pairs_store(const int32_t *sums, const int32_t *records, int32_t center,
                                int8_t *y, int32_t count)
{
    for (int32_t i = 0; i < thm_min(count, 4); i++) {
        const int32_t record = records[2 * i], multiplier = records[2 * i + 1];
        y[i] = thm_requantize_record(2 * sums[i], sums[i], record, multiplier,
                                     thm_lsl_byte(center, record));
    }
}

/* thm_pairs_tile_<n>: outputs [0, y_end - y), a multiple of four, of n adjacent positions, y_step apart
 * in y; x to x_end are their pairs, a multiple of two of each. */
#if THM_DSP
#include "pairs_dsp.h"
#elif THM_THUMB1
#include "pairs_thumb1.h"
#else
THM_INLINE void thm_pairs_tile_n(const int32_t *w, const int32_t *x, const int32_t *x_end,
                                 const int32_t *records, int8_t *y, int32_t y_step,
                                 const int8_t *y_end, int32_t center, int32_t n)
{
    for (; y != y_end; y += 4, records += 8) {
        const int32_t *w_end = w;
        for (int32_t i = 0; i < n; i++) {
            int32_t sums[4];
            thm_pairs_start(sums, records);
            w_end = thm_pairs_add(sums, w, x + i, x_end + i, n);
            thm_pairs_store(sums, records, center, y + i * y_step, 4);
        }
        w = w_end;
    }
}

THM_INLINE void thm_pairs_tile_2(const int32_t *w, const int32_t *x, const int32_t *x_end,
                                 const int32_t *records, int8_t *y, int32_t y_step,
                                 const int8_t *y_end, int32_t center)
{
    thm_pairs_tile_n(w, x, x_end, records, y, y_step, y_end, center, 2);
}

THM_INLINE void thm_pairs_tile_1(const int32_t *w, const int32_t *x, const int32_t *x_end,
                                 const int32_t *records, int8_t *y, int32_t y_step,
                                 const int8_t *y_end, int32_t center)
{
    thm_pairs_tile_n(w, x, x_end, records, y, y_step, y_end, center, 1);
}
#endif

/* All outputs of n positions, n 1 or 2, whose pairs lie from x to x_end; y of one position `y_step` after
 * the other. */
THM_INLINE void thm_pairs_outputs(const int32_t *w, const int32_t *x, const int32_t *x_end,
                                  const int32_t *records, int32_t outputs, int32_t center,
                                  int32_t n, int8_t *y, int32_t y_step)
{
    const int32_t fours = outputs & ~3, products = (int32_t)(x_end - x) / n * 2;
    int8_t rest[8], *to = y;
    for (int32_t o = 0, step = y_step; o < outputs;) {
        /* All whole fours at once, then the rest by way of `rest`. */
        const int32_t count = fours > o ? fours : 4;
        if (o == fours) {
            to = rest;
            step = 4;
        }
        if (THM_PAIR_POSITIONS > 1 && n == 2) {
            thm_pairs_tile_2(w, x, x_end, records, to, step, to + count, center);
        } else {
            thm_pairs_tile_1(w, x, x_end, records, to, step, to + count, center);
        }
        w += fours / 4 * products;
        records += 2 * fours;
        o += count;
    }
    for (int32_t i = 0; i < n && fours < outputs; i++) {
        memcpy(y + i * y_step + fours, rest + 4 * i, (size_t)(outputs - fours));
    }
}

#endif
