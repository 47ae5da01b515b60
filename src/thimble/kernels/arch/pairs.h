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

/* sums[4] of four outputs at their start: the biases of their records. */
THM_INLINE void thm_pairs_start_4(int32_t *sums, const int32_t *records)
{
    for (int32_t i = 0; i < 4; i += 2) {
        sums[i + 1] = records[2 * i + 2] >> 8;
        sums[i] = (int32_t)((uint32_t)records[2 * i] + (uint32_t)sums[i + 1]);
    }
}

/* sums[4] += weights x pairs of one position, of which the first is x[0], the next x[step]; returns w at
 * the end. */
THM_INLINE const int32_t *thm_pairs_add(int32_t *sums, const int32_t *w, const int32_t *x,
                                        const int32_t *x_end, int32_t step)
{
    int32_t ab = sums[0], b = sums[1], cd = sums[2], d = sums[3];
    for (; x != x_end; x += step, w += 2) {
        const int32_t pair = x[0], w0 = w[0], w1 = w[1];
        ab = thm_smlad(w0, pair, ab);
        cd = thm_smlad(w1, pair, cd);
        b = thm_smlad(thm_sxtb16(w0), pair, b);
        d = thm_smlad(thm_sxtb16(w1), pair, d);
    }
    sums[0] = ab;
    sums[1] = b;
    sums[2] = cd;
    sums[3] = d;
    return w;
}

/* y[0 .. min(count, 4)) from the sums of four outputs */
THM_INLINE void thm_pairs_store_4(const int32_t *sums, const int32_t *records, int32_t center,
                                  int8_t *y, int32_t count)
{
    int8_t four[4];
    for (int32_t i = 0; i < 4; i += 2) {
        /* 256 * sum A, and the shift of the record, whose bit 7 is 0. */
        const int32_t a = (int32_t)((uint32_t)sums[i] - (uint32_t)sums[i + 1]);
        const int32_t b = (int32_t)((uint32_t)sums[i + 1] << 1);
        const int32_t *r = records + 2 * i;
        four[i] = thm_requantize_record(a >> 7, a, r[0], r[1], thm_lsl_byte(center, r[0]));
        four[i + 1] = thm_requantize_record(b, b, r[2], r[3], thm_lsl_byte(center, r[2]));
    }
    memcpy(y, four, (size_t)thm_min(count, 4));
}

/* thm_pairs_tile_<n>: outputs [0, y_end - y), a multiple of four, of n adjacent positions, y_step apart
 * in y; x to x_end are their pairs, a multiple of two. */
#if THM_DSP
/* In assembly because they need all registers: compilers spill. The arguments of the frame:
 * [sp] scratch, 4 x, 8 x_end, 12 records, 52 y, 56 y_step, 60 y_end, 64 center. */
#define THM_PAIRS_SAVE "push {r0-r11, lr}\n\t"
#define THM_PAIRS_RETURN                                                                           \
    "add sp, sp, #16\n\t"                                                                          \
    "pop {r4-r11, pc}"

/* Requantizes sum `v`, doubled: shift in r0, multiplier in r2, rounding in r3. */
#define THM_PAIRS_ROUND(v)                                                                         \
    "add r1, r3, " v ", asr #31\n\t"                                                               \
    "smmlar " v ", " v ", r2, r1\n\t"                                                              \
    "asr " v ", " v ", r0\n\t"                                                                     \
    "ssat " v ", #8, " v ", asr #1\n\t"
#define THM_PAIRS_RECORD                                                                           \
    "ldrd r0, r2, [r12], #8\n\t"                                                                   \
    "lsl r3, lr, r0\n\t"
#define THM_PAIRS_ROUND_A(v) "asr " v ", " v ", #7\n\t" THM_PAIRS_ROUND(v)
#define THM_PAIRS_ROUND_B(v) "lsl " v ", " v ", #1\n\t" THM_PAIRS_ROUND(v)

/* One pair of two positions: w in r0, r3, x in r12, lr, sums in r4-r7 and r8-r11. */
#define THM_PAIRS_STEP_2                                                                           \
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

/* Two pairs of one position: w in r4-r7, x in r12, lr, sums in r8-r11. */
#define THM_PAIRS_STEP_1                                                                           \
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

THM_NAKED void
thm_pairs_tile_2(const int32_t *w THM_UNUSED, const int32_t *x THM_UNUSED,
                 const int32_t *x_end THM_UNUSED, const int32_t *records THM_UNUSED,
                 int8_t *y THM_UNUSED, int32_t y_step THM_UNUSED, int8_t *y_end THM_UNUSED,
                 int32_t center THM_UNUSED)
{
    __asm__(THM_PAIRS_SAVE
            "mov r1, r0\n"
            "1:\n\t"
            "ldr r12, [sp, #12]\n\t"
            "ldr r2, [sp, #4]\n\t"
            "ldr r4, [r12]\n\t"
            "ldr r5, [r12, #8]\n\t"
            "ldr r6, [r12, #16]\n\t"
            "ldr r7, [r12, #24]\n\t"
            "add r4, r4, r5, asr #8\n\t"
            "asrs r5, r5, #8\n\t"
            "add r6, r6, r7, asr #8\n\t"
            "asrs r7, r7, #8\n\t"
            "mov r8, r4\n\t"
            "mov r9, r5\n\t"
            "mov r10, r6\n\t"
            "mov r11, r7\n\t"
            "ldr r0, [sp, #8]\n\t" /* an odd number of chunks enters in the middle */
            "subs r0, r0, r2\n\t"
            "lsls r0, r0, #27\n\t"
            "bmi 3f\n"
            "2:\n\t" THM_PAIRS_STEP_2 THM_PAIRS_STEP_2
            "3:\n\t" THM_PAIRS_STEP_2 THM_PAIRS_STEP_2
            "ldr r0, [sp, #8]\n\t"
            "cmp r2, r0\n\t"
            "bne 2b\n\t"
            "str r1, [sp]\n\t"
            "ldr r12, [sp, #12]\n\t"
            "ldr lr, [sp, #64]\n\t"
            "subs r4, r4, r5\n\t"
            "sub r8, r8, r9\n\t"
            "subs r6, r6, r7\n\t"
            "sub r10, r10, r11\n\t"
            THM_PAIRS_RECORD THM_PAIRS_ROUND_A("r4") THM_PAIRS_ROUND_A("r8")
            THM_PAIRS_RECORD THM_PAIRS_ROUND_B("r5") THM_PAIRS_ROUND_B("r9")
            THM_PAIRS_RECORD THM_PAIRS_ROUND_A("r6") THM_PAIRS_ROUND_A("r10")
            THM_PAIRS_RECORD THM_PAIRS_ROUND_B("r7") THM_PAIRS_ROUND_B("r11")
            "str r12, [sp, #12]\n\t"
            "ldrd r0, r2, [sp, #52]\n\t"
            "adds r2, r2, r0\n\t"
            "strb r8, [r2]\n\t"
            "strb r9, [r2, #1]\n\t"
            "strb r10, [r2, #2]\n\t"
            "strb r11, [r2, #3]\n\t"
            "strb r5, [r0, #1]\n\t"
            "strb r6, [r0, #2]\n\t"
            "strb r7, [r0, #3]\n\t"
            "strb r4, [r0], #4\n\t"
            "ldr r2, [sp, #60]\n\t"
            "ldr r1, [sp]\n\t"
            "str r0, [sp, #52]\n\t"
            "cmp r0, r2\n\t"
            "bne 1b\n\t" THM_PAIRS_RETURN);
}

THM_NAKED void
thm_pairs_tile_1(const int32_t *w THM_UNUSED, const int32_t *x THM_UNUSED,
                 const int32_t *x_end THM_UNUSED, const int32_t *records THM_UNUSED,
                 int8_t *y THM_UNUSED, int32_t y_step THM_UNUSED, int8_t *y_end THM_UNUSED,
                 int32_t center THM_UNUSED)
{
    __asm__(THM_PAIRS_SAVE
            "mov r1, r0\n"
            "1:\n\t"
            "ldr r12, [sp, #12]\n\t"
            "ldrd r2, r3, [sp, #4]\n\t"
            "ldr r8, [r12]\n\t"
            "ldr r9, [r12, #8]\n\t"
            "ldr r10, [r12, #16]\n\t"
            "ldr r11, [r12, #24]\n\t"
            "add r8, r8, r9, asr #8\n\t"
            "asr r9, r9, #8\n\t"
            "add r10, r10, r11, asr #8\n\t"
            "asr r11, r11, #8\n\t"
            "subs r0, r3, r2\n\t"
            "lsls r0, r0, #28\n\t"
            "bmi 3f\n"
            "2:\n\t" THM_PAIRS_STEP_1
            "3:\n\t" THM_PAIRS_STEP_1
            "cmp r2, r3\n\t"
            "bne 2b\n\t"
            "mov r4, r1\n\t"
            "ldr r12, [sp, #12]\n\t"
            "ldr lr, [sp, #64]\n\t"
            "sub r8, r8, r9\n\t"
            "sub r10, r10, r11\n\t"
            THM_PAIRS_RECORD THM_PAIRS_ROUND_A("r8")
            THM_PAIRS_RECORD THM_PAIRS_ROUND_B("r9")
            THM_PAIRS_RECORD THM_PAIRS_ROUND_A("r10")
            THM_PAIRS_RECORD THM_PAIRS_ROUND_B("r11")
            "str r12, [sp, #12]\n\t"
            "ldr r0, [sp, #52]\n\t"
            "ldr r2, [sp, #60]\n\t"
            "strb r9, [r0, #1]\n\t"
            "strb r10, [r0, #2]\n\t"
            "strb r11, [r0, #3]\n\t"
            "strb r8, [r0], #4\n\t"
            "mov r1, r4\n\t"
            "str r0, [sp, #52]\n\t"
            "cmp r0, r2\n\t"
            "bne 1b\n\t" THM_PAIRS_RETURN);
}
#else
THM_INLINE void thm_pairs_tile_n(const int32_t *w, const int32_t *x, const int32_t *x_end,
                                 const int32_t *records, int8_t *y, int32_t y_step,
                                 const int8_t *y_end, int32_t center, int32_t n)
{
    for (; y != y_end; y += 4, records += 8) {
        const int32_t *w_end = w;
        for (int32_t i = 0; i < n; i++) {
            int32_t sums[4];
            thm_pairs_start_4(sums, records);
            w_end = thm_pairs_add(sums, w, x + i, x_end + i, n);
            thm_pairs_store_4(sums, records, center, y + i * y_step, 4);
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
        if (n == 2) {
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
