/* Tiles of one position where one multiplication gives the products of two outputs: Cortex-M0, M0+.
 *
 * A word of the weights is 65536 * A + B, so x times the word is 65536 * (x * A) + x * B. Compile time has
 * proved that the products of two neighbouring x add up within 16 bits for every output: their low half,
 * as an int16, is B's sum, and what is above it, rounded, is A's. Sums over all products: `both` holds
 * 65536 * A + B modulo 2^32 and `high` A, which gives B.
 *
 * Weights: [outputs / 4][products / 2][AB of x0, AB of x1, CD of x0, CD of x1], int32.
 */
#ifndef THM_ARCH_JOINT_H
#define THM_ARCH_JOINT_H

#include "pairs.h"

/* Products of a position, a word of x each, on the stack. */
#define THM_JOINT_PRODUCTS 320

/* thm_joint_tile: outputs [0, y_end - y), a multiple of four, of the position whose x are the int32 from x to
 * x_end, a multiple of two. */
#if THM_THUMB1
/* 15 instructions for 8 products. The last bit that ASRS shifts out is the carry: it rounds. */
#define THM_JOINT_TWO(both, high)                                                                  \
    "ldmia r6!, {r2, r3}\n\t"                                                                      \
    "muls r2, r0\n\t"                                                                              \
    "muls r3, r1\n\t"                                                                              \
    "adds r2, r2, r3\n\t"                                                                          \
    "add " both ", r2\n\t"                                                                         \
    "asrs r2, r2, #16\n\t"                                                                         \
    "adcs " high ", r2\n\t"

/* Starts of two outputs, their records at r5, which may be `high`. */
#define THM_JOINT_START(both, high, a, b)                                                          \
    "ldr r1, [r5, #" b "]\n\t"                                                                     \
    "ldr " high ", [r5, #" a "]\n\t"                                                               \
    "asrs " high ", " high ", #8\n\t"                                                              \
    "asrs r1, r1, #8\n\t"                                                                          \
    "lsls r0, " high ", #16\n\t"                                                                   \
    "adds r0, r0, r1\n\t"                                                                          \
    "mov " both ", r0\n\t"

/* B of `both`, in r0. */
#define THM_JOINT_LOW(both, high)                                                                  \
    "lsls r1, " high ", #16\n\t"                                                                   \
    "mov r0, " both "\n\t"                                                                         \
    "subs r0, r0, r1\n\t"

/* Frame: [sp] r8-r11, 16 w, 20 x, 24 x_end, 28 records, 32 r4-r7, 48 lr, 52 y, 56 y_end, 60 center. */
THM_NAKED void thm_joint_tile(const int32_t *w THM_UNUSED, const int32_t *x THM_UNUSED,
                              const int32_t *x_end THM_UNUSED, const int32_t *records THM_UNUSED,
                              int8_t *y THM_UNUSED, int8_t *y_end THM_UNUSED,
                              int32_t center THM_UNUSED)
{
    __asm__(".syntax unified\n\t"
            "push {r0-r7, lr}\n\t"
            "mov r4, r8\n\t"
            "mov r5, r9\n\t"
            "mov r6, r10\n\t"
            "mov r7, r11\n\t"
            "push {r4-r7}\n\t"
            "mov r12, r2\n"
            "1:\n\t"
            "ldr r5, [sp, #28]\n\t"
            "ldr r6, [sp, #16]\n\t"
            "ldr r7, [sp, #20]\n\t" THM_JOINT_START("r8", "r4", "0", "8")
            THM_JOINT_START("r9", "r5", "16", "24")
            "2:\n\t"
            "ldmia r7!, {r0, r1}\n\t" THM_JOINT_TWO("r8", "r4") THM_JOINT_TWO("r9", "r5")
            "cmp r7, r12\n\t"
            "bne 2b\n\t"
            "str r6, [sp, #16]\n\t" THM_JOINT_LOW("r9", "r5")
            "mov r11, r0\n\t"
            "mov r10, r5\n\t" THM_JOINT_LOW("r8", "r4")
            "mov r9, r0\n\t"
            "mov r8, r4\n\t"
            "ldr r5, [sp, #28]\n\t"
            "ldr r6, [sp, #60]\n\t"
            "ldr r7, [sp, #52]\n\t"
            "mov r0, r8\n\t" THM_PAIRS_FINISH("#0")
            "mov r0, r9\n\t" THM_PAIRS_FINISH("#1")
            "mov r0, r10\n\t" THM_PAIRS_FINISH("#2")
            "mov r0, r11\n\t" THM_PAIRS_FINISH("#3")
            "str r5, [sp, #28]\n\t"
            "adds r7, #4\n\t"
            "str r7, [sp, #52]\n\t"
            "ldr r0, [sp, #56]\n\t"
            "cmp r7, r0\n\t"
            "beq 3f\n\t"
            "b 1b\n"
            "3:\n\t"
            "pop {r4-r7}\n\t"
            "mov r8, r4\n\t"
            "mov r9, r5\n\t"
            "mov r10, r6\n\t"
            "mov r11, r7\n\t"
            "add sp, sp, #16\n\t"
            "pop {r4-r7, pc}");
}
#else
THM_INLINE void thm_joint_tile(const int32_t *w, const int32_t *x, const int32_t *x_end,
                               const int32_t *records, int8_t *y, const int8_t *y_end,
                               int32_t center)
{
    for (; y != y_end; y += 4, records += 8) {
        int32_t sums[4];
        thm_pairs_start(sums, records);
        for (const int32_t *at = x; at != x_end; at += 2, w += 4) {
            for (int32_t i = 0; i < 2; i++) {
                const int32_t p = w[2 * i] * at[0] + w[2 * i + 1] * at[1];
                const int32_t high = (p + (1 << 15)) >> 16;
                sums[2 * i] += high;
                sums[2 * i + 1] += p - (int32_t)((uint32_t)high << 16);
            }
        }
        thm_pairs_store(sums, records, center, y, 4);
    }
}
#endif

/* All outputs of the position whose x lie from x to x_end. */
THM_INLINE void thm_joint_outputs(const int32_t *w, const int32_t *x, const int32_t *x_end,
                                  const int32_t *records, int32_t outputs, int32_t center,
                                  int8_t *y)
{
    const int32_t fours = outputs & ~3;
    if (fours > 0) {
        thm_joint_tile(w, x, x_end, records, y, y + fours, center);
    }
    if (fours < outputs) {
        int8_t rest[4];
        thm_joint_tile(w + fours / 2 * (x_end - x), x, x_end, records + 2 * fours, rest, rest + 4,
                       center);
        memcpy(y + fours, rest, (size_t)(outputs - fours));
    }
}

#endif
