/* thm_pairs_tile_1 (pairs.h) for Cortex-M0 and M0+: 3.5 instructions a product.
 *
 * Sums 256 * A + B and B are two multiplications for two products, as they would be one by one, but the word
 * needs less taking apart: the halves are SXTH and ASRS, B of each one SXTB. Sums lie in r8-r11. */
#ifndef THM_ARCH_PAIRS_THUMB1_H
#define THM_ARCH_PAIRS_THUMB1_H

#include "dsp.h"

/* Products of the word w (r4 spare) with x in r0 (low half) and r1 (high half). */
#define THM_PAIRS_WORD(w, both, one)                                                               \
    "sxth r4, " w "\n\t"                                                                           \
    "muls r4, r0\n\t"                                                                              \
    "add " both ", r4\n\t"                                                                         \
    "asrs r4, " w ", #16\n\t"                                                                      \
    "sxtb " w ", " w "\n\t"                                                                        \
    "muls " w ", r0\n\t"                                                                           \
    "add " one ", " w "\n\t"                                                                       \
    "sxtb " w ", r4\n\t"                                                                           \
    "muls r4, r1\n\t"                                                                              \
    "add " both ", r4\n\t"                                                                         \
    "muls " w ", r1\n\t"                                                                           \
    "add " one ", " w "\n\t"
#define THM_PAIRS_TWO                                                                              \
    "ldmia r7!, {r1, r5}\n\t"                                                                      \
    "ldmia r6!, {r2, r3}\n\t"                                                                      \
    "sxth r0, r1\n\t"                                                                              \
    "asrs r1, r1, #16\n\t" THM_PAIRS_WORD("r2", "r8", "r9") THM_PAIRS_WORD("r3", "r10", "r11")     \
    "ldmia r6!, {r2, r3}\n\t"                                                                      \
    "sxth r0, r5\n\t"                                                                              \
    "asrs r1, r5, #16\n\t" THM_PAIRS_WORD("r2", "r8", "r9") THM_PAIRS_WORD("r3", "r10", "r11")

/* Stores the output whose sum is r0: |r0| < 2^23, so that its products with the bytes of the multiplier fit
 * 32 bits; each carry but the last is rounded down. Record at r5, y at r7, center in r6. */
#define THM_PAIRS_FINISH(at)                                                                       \
    "ldr r4, [r5, #4]\n\t"                                                                         \
    "uxtb r1, r4\n\t"                                                                              \
    "muls r1, r0\n\t"                                                                              \
    "asrs r1, r1, #8\n\t"                                                                          \
    "lsrs r2, r4, #8\n\t"                                                                          \
    "uxtb r2, r2\n\t"                                                                              \
    "muls r2, r0\n\t"                                                                              \
    "adds r1, r1, r2\n\t"                                                                          \
    "asrs r1, r1, #8\n\t"                                                                          \
    "lsrs r2, r4, #16\n\t"                                                                         \
    "uxtb r2, r2\n\t"                                                                              \
    "muls r2, r0\n\t"                                                                              \
    "adds r1, r1, r2\n\t"                                                                          \
    "asrs r1, r1, #8\n\t"                                                                          \
    "lsrs r4, r4, #24\n\t"                                                                         \
    "muls r0, r4\n\t"                                                                              \
    "adds r0, r0, r1\n\t"                                                                          \
    "adds r0, #64\n\t"                                                                             \
    "asrs r0, r0, #7\n\t"                                                                          \
    "asrs r1, r0, #31\n\t"                                                                         \
    "adds r0, r0, r1\n\t"                                                                          \
    "ldrb r2, [r5]\n\t"                                                                            \
    "mov r3, r6\n\t"                                                                               \
    "lsls r3, r2\n\t"                                                                              \
    "adds r0, r0, r3\n\t"                                                                          \
    "asrs r0, r2\n\t"                                                                              \
    "asrs r0, r0, #1\n\t"                                                                          \
    "adds r5, #8\n\t"                                                                              \
    "sxtb r1, r0\n\t"                                                                              \
    "cmp r1, r0\n\t"                                                                               \
    "beq 9f\n\t"                                                                                   \
    "asrs r0, r0, #31\n\t"                                                                         \
    "movs r1, #127\n\t"                                                                            \
    "eors r0, r1\n"                                                                                \
    "9:\n\t"                                                                                       \
    "strb r0, [r7, " at "]\n\t"

/* Frame: [sp] r8-r11, 16 w, 20 x, 24 x_end, 28 records, 32 r4-r7, 48 lr, 52 y, 56 y_step, 60 y_end,
 * 64 center. */
THM_NAKED void thm_pairs_tile_1(const int32_t *w THM_UNUSED, const int32_t *x THM_UNUSED,
                                const int32_t *x_end THM_UNUSED, const int32_t *records THM_UNUSED,
                                int8_t *y THM_UNUSED, int32_t y_step THM_UNUSED,
                                int8_t *y_end THM_UNUSED, int32_t center THM_UNUSED)
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
            "ldr r7, [sp, #20]\n\t"
            "ldr r0, [r5]\n\t"
            "ldr r1, [r5, #8]\n\t"
            "asrs r1, r1, #8\n\t"
            "adds r0, r0, r1\n\t"
            "mov r8, r0\n\t"
            "mov r9, r1\n\t"
            "ldr r0, [r5, #16]\n\t"
            "ldr r1, [r5, #24]\n\t"
            "asrs r1, r1, #8\n\t"
            "adds r0, r0, r1\n\t"
            "mov r10, r0\n\t"
            "mov r11, r1\n"
            "2:\n\t" THM_PAIRS_TWO
            "cmp r7, r12\n\t"
            "bne 2b\n\t"
            "str r6, [sp, #16]\n\t"
            "ldr r5, [sp, #28]\n\t"
            "ldr r6, [sp, #64]\n\t"
            "ldr r7, [sp, #52]\n\t"
            "mov r0, r8\n\t"
            "mov r1, r9\n\t"
            "subs r0, r0, r1\n\t"
            "asrs r0, r0, #8\n\t" THM_PAIRS_FINISH("#0")
            "mov r0, r9\n\t" THM_PAIRS_FINISH("#1")
            "mov r0, r10\n\t"
            "mov r1, r11\n\t"
            "subs r0, r0, r1\n\t"
            "asrs r0, r0, #8\n\t" THM_PAIRS_FINISH("#2")
            "mov r0, r11\n\t" THM_PAIRS_FINISH("#3")
            "str r5, [sp, #28]\n\t"
            "adds r7, #4\n\t"
            "str r7, [sp, #52]\n\t"
            "ldr r0, [sp, #60]\n\t"
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

#define thm_pairs_tile_2 thm_pairs_tile_1 /* never more than one position */

#endif
