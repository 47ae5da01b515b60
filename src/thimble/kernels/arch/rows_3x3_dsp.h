/* thm_row_3x3_<stride> (rows_3x3.h) for the DSP extension: 16 instructions an output.
 *
 * Registers: weights r4-r9, sums r10, r11, x r0, y r2. Frame: [sp] 2 * bias, 4 multiplier, 8 rounding,
 * 12 shift - 1, 16 y_step, 20 end of y, 24 x, 28 table, 32 y, 36 y_step, 76 even_bytes, 80 is_odd,
 * 84 lanes, 88 rotation. The last of an odd number is computed twice, with y_step 0. */
#ifndef THM_ARCH_ROWS_3X3_DSP_H
#define THM_ARCH_ROWS_3X3_DSP_H

#include "dsp.h"

#define THM_3X3_1(w01, w12, first)                                                                 \
    "smlatb r11, r12, " w01 ", " first "\n\t"                                                      \
    "smlad r10, r12, " w01 ", r10\n\t"                                                             \
    "smlabt r10, lr, " w12 ", r10\n\t"                                                             \
    "smlad r11, lr, " w12 ", r11\n\t"
#define THM_3X3_SUMS_1                                                                             \
    "ldrd r12, lr, [r0, #104]\n\t" THM_3X3_1("r6", "r7", "r10")                                    \
    "ldrd r12, lr, [r0, #208]\n\t" THM_3X3_1("r8", "r9", "r11")                                    \
    "ldrd r12, lr, [r0], #4\n\t" THM_3X3_1("r4", "r5", "r11")

#define THM_3X3_2(w01, w12, first, next)                                                           \
    "smlad r11, lr, " w01 ", " first "\n\t"                                                        \
    "smlad r10, r12, " w01 ", r10\n\t"                                                             \
    "smlabt r10, lr, " w12 ", r10\n\t"                                                             \
    "ldr r12, [r0" next "]\n\t"                                                                    \
    "smlabt r11, r12, " w12 ", r11\n\t"
#define THM_3X3_SUMS_2                                                                             \
    "ldrd r12, lr, [r0, #104]\n\t" THM_3X3_2("r6", "r7", "r10", ", #112")                          \
    "ldrd r12, lr, [r0, #208]\n\t" THM_3X3_2("r8", "r9", "r11", ", #216")                          \
    "ldrd r12, lr, [r0], #8\n\t" THM_3X3_2("r4", "r5", "r11", "")

#define THM_3X3_ROUND(v)                                                                           \
    "add r3, lr, " v ", asr #31\n\t"                                                               \
    "smmlar " v ", " v ", r12, r3\n\t"                                                             \
    "asr " v ", " v ", r1\n\t"                                                                     \
    "ssat " v ", #8, " v ", asr #1\n\t"

#define THM_3X3_FUNCTION(name, sums)                                                               \
    THM_NAKED void name(const int32_t *x THM_UNUSED, const int32_t *table THM_UNUSED,              \
                        int8_t *y THM_UNUSED, int32_t y_step THM_UNUSED,                           \
                        int32_t even_bytes THM_UNUSED, int32_t is_odd THM_UNUSED,                  \
                        int32_t lanes THM_UNUSED, int32_t rotation THM_UNUSED)                     \
    {                                                                                              \
        __asm__("push {r4-r11, lr}\n\t"                                                            \
                "push {r0-r3}\n\t"                                                                 \
                "sub sp, sp, #24\n"                                                                \
                "1:\n\t"                                                                           \
                "ldrd r0, r1, [sp, #24]\n\t"                                                       \
                "ldrd r2, r3, [sp, #32]\n\t"                                                       \
                "add r12, r1, #40\n\t"                                                             \
                "ldmia r12, {r4-r7}\n\t"                                                           \
                "stmia sp, {r4-r7}\n\t"                                                            \
                "ldr r12, [sp, #88]\n\t"                                                           \
                "add r12, r12, r1\n\t"                                                             \
                "ldmia r12, {r4-r9}\n\t"                                                           \
                "ldr r12, [sp, #76]\n\t"                                                           \
                "add lr, r2, r12\n\t"                                                              \
                "strd r3, lr, [sp, #16]\n\t"                                                       \
                "cmp r12, #0\n\t"                                                                  \
                "beq 3f\n"                                                                         \
                "2:\n\t"                                                                           \
                "ldr r10, [sp]\n\t" sums                                                           \
                "ldrd r12, lr, [sp, #4]\n\t"                                                       \
                "ldr r1, [sp, #12]\n\t" THM_3X3_ROUND("r10") THM_3X3_ROUND("r11")                  \
                "ldrd r12, lr, [sp, #16]\n\t"                                                      \
                "strb r11, [r2, r12]\n\t"                                                          \
                "strb r10, [r2]\n\t"                                                               \
                "add r2, r2, r12, lsl #1\n\t"                                                      \
                "cmp r2, lr\n\t"                                                                   \
                "bne 2b\n"                                                                         \
                "3:\n\t"                                                                           \
                "ldr r12, [sp, #16]\n\t"                                                           \
                "cmp r12, #0\n\t"                                                                  \
                "beq 4f\n\t"                                                                       \
                "ldr r1, [sp, #80]\n\t"                                                            \
                "cmp r1, #0\n\t"                                                                   \
                "beq 4f\n\t"                                                                       \
                "movs r1, #0\n\t"                                                                  \
                "strd r1, r2, [sp, #16]\n\t"                                                       \
                "b 2b\n"                                                                           \
                "4:\n\t"                                                                           \
                "ldrd r0, r1, [sp, #24]\n\t"                                                       \
                "ldr r2, [sp, #32]\n\t"                                                            \
                "add r0, r0, #312\n\t"                                                             \
                "adds r1, r1, #56\n\t"                                                             \
                "adds r2, r2, #1\n\t"                                                              \
                "strd r0, r1, [sp, #24]\n\t"                                                       \
                "str r2, [sp, #32]\n\t"                                                            \
                "ldr r3, [sp, #84]\n\t"                                                            \
                "subs r3, r3, #1\n\t"                                                              \
                "str r3, [sp, #84]\n\t"                                                            \
                "bne 1b\n\t"                                                                       \
                "add sp, sp, #40\n\t"                                                              \
                "pop {r4-r11, pc}");                                                               \
    }

THM_3X3_FUNCTION(thm_row_3x3_1, THM_3X3_SUMS_1)
THM_3X3_FUNCTION(thm_row_3x3_2, THM_3X3_SUMS_2)

#endif
