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

/* x[0 .. count), zeros up to a multiple of four, as pairs (0, 2), (1, 3) at to[0], to[step], ... */
THM_INLINE int32_t *thm_widen(const int8_t *x, int32_t count, int32_t *to, int32_t step)
{
    for (; count >= 4; count -= 4) {
        int32_t four;
        memcpy(&four, x, 4);
        to[0] = thm_sxtb16(four);
        to[step] = thm_sxtb16_odd(four);
        x += 4;
        to += 2 * step;
    }
    if (count > 0) {
        const int32_t third = count > 2 ? x[2] : 0, second = count > 1 ? x[1] : 0;
        to[0] = thm_pkhbt(x[0], third);
        to[step] = second & 0xFFFF;
        to += 2 * step;
    }
    return to;
}

#if THM_DSP
/* One pair of two positions: w words in r0, r3, x words in r12, lr. */
#define THM_PAIR_2_ASM                                                                             \
    "ldrd r0, r3, [r1], #8\n\t"                                                                    \
    "ldrd r12, lr, [r2], #8\n\t"                                                                   \
    "smlad r4, r0, r12, r4\n\t"                                                                    \
    "smlad r8, r0, lr, r8\n\t"                                                                     \
    "sxtb16 r0, r0\n\t"                                                                            \
    "smlad r6, r3, r12, r6\n\t"                                                                    \
    "smlad r10, r3, lr, r10\n\t"                                                                   \
    "sxtb16 r3, r3\n\t"                                                                            \
    "smlad r5, r0, r12, r5\n\t"                                                                    \
    "smlad r9, r0, lr, r9\n\t"                                                                     \
    "smlad r7, r3, r12, r7\n\t"                                                                    \
    "smlad r11, r3, lr, r11\n\t"

/* sums[2][4] += weights x pairs of two positions up to x_end, a multiple of two pairs; returns w at the
 * end. Its own function in assembly because it needs all fourteen registers: compilers spill. */
__attribute__((naked, noinline, unused)) static const int32_t *
thm_pairs_2(int32_t *sums __attribute__((unused)), const int32_t *w __attribute__((unused)),
            const int32_t *x __attribute__((unused)), const int32_t *x_end __attribute__((unused)))
{
    __asm__("push {r0, r3, r4-r11, lr}\n\t"
            "ldmia r0, {r4-r11}\n\t"
            "subs r0, r3, r2\n\t"
            "lsls r0, r0, #27\n\t" /* an odd number of chunks enters in the middle */
            "bmi 2f\n"
            "1:\n\t" THM_PAIR_2_ASM THM_PAIR_2_ASM
            "2:\n\t" THM_PAIR_2_ASM THM_PAIR_2_ASM
            "ldr r0, [sp, #4]\n\t"
            "cmp r2, r0\n\t"
            "bne 1b\n\t"
            "pop {r0, r3}\n\t"
            "stmia r0, {r4-r11}\n\t"
            "mov r0, r1\n\t"
            "pop {r4-r11, pc}");
}

/* Two pairs of one position: w words in r4-r7, x words in r12, lr. */
#define THM_PAIR_1_ASM                                                                             \
    "ldmia r1!, {r4-r7}\n\t"                                                                       \
    "ldrd r12, lr, [r2], #8\n\t"                                                                   \
    "smlad r8, r4, r12, r8\n\t"                                                                    \
    "smlad r10, r5, r12, r10\n\t"                                                                  \
    "smlad r8, r6, lr, r8\n\t"                                                                     \
    "smlad r10, r7, lr, r10\n\t"                                                                   \
    "sxtb16 r4, r4\n\t"                                                                            \
    "sxtb16 r5, r5\n\t"                                                                            \
    "sxtb16 r6, r6\n\t"                                                                            \
    "sxtb16 r7, r7\n\t"                                                                            \
    "smlad r9, r4, r12, r9\n\t"                                                                    \
    "smlad r11, r5, r12, r11\n\t"                                                                  \
    "smlad r9, r6, lr, r9\n\t"                                                                     \
    "smlad r11, r7, lr, r11\n\t"

/* The same for one position: sums[4]. */
__attribute__((naked, noinline, unused)) static const int32_t *
thm_pairs_1(int32_t *sums __attribute__((unused)), const int32_t *w __attribute__((unused)),
            const int32_t *x __attribute__((unused)), const int32_t *x_end __attribute__((unused)))
{
    __asm__("push {r4-r11, lr}\n\t"
            "ldmia r0, {r8-r11}\n\t"
            "subs r4, r3, r2\n\t"
            "lsls r4, r4, #28\n\t"
            "bmi 2f\n"
            "1:\n\t" THM_PAIR_1_ASM
            "2:\n\t" THM_PAIR_1_ASM
            "cmp r2, r3\n\t"
            "bne 1b\n\t"
            "stmia r0, {r8-r11}\n\t"
            "mov r0, r1\n\t"
            "pop {r4-r11, pc}");
}
#else
THM_INLINE const int32_t *thm_pairs_n(int32_t *sums, const int32_t *w, const int32_t *x,
                                      const int32_t *x_end, int32_t n)
{
    for (; x != x_end; x += n, w += 2) {
        for (int32_t i = 0; i < n; i++) {
            sums[4 * i] = thm_smlad(w[0], x[i], sums[4 * i]);
            sums[4 * i + 1] = thm_smlad(thm_sxtb16(w[0]), x[i], sums[4 * i + 1]);
            sums[4 * i + 2] = thm_smlad(w[1], x[i], sums[4 * i + 2]);
            sums[4 * i + 3] = thm_smlad(thm_sxtb16(w[1]), x[i], sums[4 * i + 3]);
        }
    }
    return w;
}

THM_INLINE const int32_t *thm_pairs_2(int32_t *sums, const int32_t *w, const int32_t *x,
                                      const int32_t *x_end)
{
    return thm_pairs_n(sums, w, x, x_end, 2);
}

THM_INLINE const int32_t *thm_pairs_1(int32_t *sums, const int32_t *w, const int32_t *x,
                                      const int32_t *x_end)
{
    return thm_pairs_n(sums, w, x, x_end, 1);
}
#endif

/* Sums of outputs A and B at their start: the biases of their records. */
THM_INLINE void thm_pairs_start(int32_t *sums, const int32_t *records)
{
    sums[1] = records[2] >> 8;
    sums[0] = (int32_t)((uint32_t)records[0] + (uint32_t)sums[1]);
}

/* y[0], y[1] = outputs A and B */
THM_INLINE void thm_pairs_store(const int32_t *sums, int32_t record_a, int32_t multiplier_a,
                                int32_t rounding_a, int32_t record_b, int32_t multiplier_b,
                                int32_t rounding_b, int8_t *y)
{
    /* 256 * sum A, and the shift of the record, whose bit 7 is 0. */
    const int32_t a = (int32_t)((uint32_t)sums[0] - (uint32_t)sums[1]);
    const int32_t b = (int32_t)((uint32_t)sums[1] << 1);
    y[0] = thm_requantize_record(a >> 7, a, record_a, multiplier_a, rounding_a);
    y[1] = thm_requantize_record(b, b, record_b, multiplier_b, rounding_b);
}

#endif
