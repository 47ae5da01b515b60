/* thm_row_3x3_<stride> (rows_3x3.h) for Cortex-M0 and M0+.
 *
 * A channel's table: the taps {w0, w1, w2} of the rows of slots 0, 1, 2, 0, 1, then bias, the four bytes of
 * the multiplier from the lowest, rounding, shift - 1. Sums in r8, r9, y in r10; two outputs at a time.
 * Frame: [sp] nine taps, 36 bias, 40 multiplier, 56 rounding, 60 shift - 1, 64 y_step, 68 end of y, 72 r8-r10,
 * 84 x, 88 table, 92 y, 96 y_step, 100 r4-r7, 116 lr, 120 even_bytes, 124 is_odd, 128 lanes, 132 rotation. */
#ifndef THM_ARCH_ROWS_3X3_THUMB1_H
#define THM_ARCH_ROWS_3X3_THUMB1_H

#include "dsp.h"

#define THM_3X3_TABLE 22
#define THM_3X3_ROW_BYTES 12

/* Columns of a slot: x0, x1 in r0, r1, x2, x3 in r2, r3; its taps in r4-r6. */
#define THM_3X3_LOAD(w0, w1, w2)                                                                   \
    "ldr r0, [r7]\n\t"                                                                             \
    "ldr r2, [r7, #4]\n\t"                                                                         \
    "asrs r1, r0, #16\n\t"                                                                         \
    "sxth r0, r0\n\t"                                                                              \
    "asrs r3, r2, #16\n\t"                                                                         \
    "sxth r2, r2\n\t"                                                                              \
    "ldr r4, [sp, " w0 "]\n\t"                                                                     \
    "ldr r5, [sp, " w1 "]\n\t"                                                                     \
    "ldr r6, [sp, " w2 "]\n\t"                                                                     \
    "muls r0, r4\n\t"                                                                              \
    "add r8, r0\n\t"
#define THM_3X3_SLOT_1(w0, w1, w2)                                                                 \
    THM_3X3_LOAD(w0, w1, w2)                                                                       \
    "mov r0, r1\n\t"                                                                               \
    "muls r0, r5\n\t"                                                                              \
    "add r8, r0\n\t"                                                                               \
    "mov r0, r2\n\t"                                                                               \
    "muls r0, r6\n\t"                                                                              \
    "add r8, r0\n\t"                                                                               \
    "muls r1, r4\n\t"                                                                              \
    "add r9, r1\n\t"                                                                               \
    "muls r2, r5\n\t"                                                                              \
    "add r9, r2\n\t"                                                                               \
    "muls r3, r6\n\t"                                                                              \
    "add r9, r3\n\t"
#define THM_3X3_SLOT_2(w0, w1, w2)                                                                 \
    THM_3X3_LOAD(w0, w1, w2)                                                                       \
    "muls r1, r5\n\t"                                                                              \
    "add r8, r1\n\t"                                                                               \
    "mov r0, r2\n\t"                                                                               \
    "muls r0, r6\n\t"                                                                              \
    "add r8, r0\n\t"                                                                               \
    "muls r2, r4\n\t"                                                                              \
    "add r9, r2\n\t"                                                                               \
    "muls r3, r5\n\t"                                                                              \
    "add r9, r3\n\t"                                                                               \
    "ldr r0, [r7, #8]\n\t"                                                                         \
    "sxth r0, r0\n\t"                                                                              \
    "muls r0, r6\n\t"                                                                              \
    "add r9, r0\n\t"

/* r0 = the output whose sum is r0; see THM_PAIRS_FINISH. */
#define THM_3X3_FINISH                                                                             \
    "ldr r1, [sp, #40]\n\t"                                                                        \
    "muls r1, r0\n\t"                                                                              \
    "asrs r1, r1, #8\n\t"                                                                          \
    "ldr r2, [sp, #44]\n\t"                                                                        \
    "muls r2, r0\n\t"                                                                              \
    "adds r1, r1, r2\n\t"                                                                          \
    "asrs r1, r1, #8\n\t"                                                                          \
    "ldr r2, [sp, #48]\n\t"                                                                        \
    "muls r2, r0\n\t"                                                                              \
    "adds r1, r1, r2\n\t"                                                                          \
    "asrs r1, r1, #8\n\t"                                                                          \
    "ldr r2, [sp, #52]\n\t"                                                                        \
    "muls r0, r2\n\t"                                                                              \
    "adds r0, r0, r1\n\t"                                                                          \
    "adds r0, #64\n\t"                                                                             \
    "asrs r0, r0, #7\n\t"                                                                          \
    "asrs r1, r0, #31\n\t"                                                                         \
    "adds r0, r0, r1\n\t"                                                                          \
    "ldr r1, [sp, #56]\n\t"                                                                        \
    "adds r0, r0, r1\n\t"                                                                          \
    "ldr r1, [sp, #60]\n\t"                                                                        \
    "asrs r0, r1\n\t"                                                                              \
    "asrs r0, r0, #1\n\t"                                                                          \
    "sxtb r1, r0\n\t"                                                                              \
    "cmp r1, r0\n\t"                                                                               \
    "beq 9f\n\t"                                                                                   \
    "asrs r0, r0, #31\n\t"                                                                         \
    "movs r1, #127\n\t"                                                                            \
    "eors r0, r1\n"                                                                                \
    "9:\n\t"

#define THM_3X3_FUNCTION(name, slot, back)                                                         \
    THM_NAKED void name(const int32_t *x THM_UNUSED, const int32_t *table THM_UNUSED,              \
                        int8_t *y THM_UNUSED, int32_t y_step THM_UNUSED,                           \
                        int32_t even_bytes THM_UNUSED, int32_t is_odd THM_UNUSED,                  \
                        int32_t lanes THM_UNUSED, int32_t rotation THM_UNUSED)                     \
    {                                                                                              \
        __asm__(".syntax unified\n\t"                                                              \
                "push {r0-r7, lr}\n\t"                                                             \
                "mov r4, r8\n\t"                                                                   \
                "mov r5, r9\n\t"                                                                   \
                "mov r6, r10\n\t"                                                                  \
                "push {r4-r6}\n\t"                                                                 \
                "sub sp, sp, #72\n"                                                                \
                "1:\n\t"                                                                           \
                "ldr r6, [sp, #88]\n\t"                                                            \
                "ldr r0, [sp, #132]\n\t"                                                           \
                "adds r0, r0, r6\n\t"                                                              \
                "mov r7, sp\n\t"                                                                   \
                "ldmia r0!, {r1-r5}\n\t"                                                           \
                "stmia r7!, {r1-r5}\n\t"                                                           \
                "ldmia r0!, {r1-r4}\n\t"                                                           \
                "stmia r7!, {r1-r4}\n\t"                                                           \
                "adds r6, #60\n\t"                                                                 \
                "ldmia r6!, {r1-r5}\n\t"                                                           \
                "stmia r7!, {r1-r5}\n\t"                                                           \
                "ldmia r6!, {r1, r2}\n\t"                                                          \
                "stmia r7!, {r1, r2}\n\t"                                                          \
                "str r6, [sp, #88]\n\t"                                                            \
                "ldr r7, [sp, #84]\n\t"                                                            \
                "ldr r0, [sp, #92]\n\t"                                                            \
                "mov r10, r0\n\t"                                                                  \
                "ldr r1, [sp, #96]\n\t"                                                            \
                "str r1, [sp, #64]\n\t"                                                            \
                "ldr r1, [sp, #120]\n\t"                                                           \
                "adds r0, r0, r1\n\t"                                                              \
                "str r0, [sp, #68]\n\t"                                                            \
                "cmp r1, #0\n\t"                                                                   \
                "bne 2f\n\t"                                                                       \
                "b 3f\n"                                                                           \
                "2:\n\t"                                                                           \
                "ldr r0, [sp, #36]\n\t"                                                            \
                "mov r8, r0\n\t"                                                                   \
                "mov r9, r0\n\t" slot("#0", "#4", "#8")                                            \
                "adds r7, #104\n\t" slot("#12", "#16", "#20")                                      \
                "adds r7, #104\n\t" slot("#24", "#28", "#32")                                      \
                "subs r7, #" back "\n\t"                                                           \
                "mov r0, r9\n\t" THM_3X3_FINISH                                                    \
                "ldr r3, [sp, #64]\n\t"                                                            \
                "mov r4, r10\n\t"                                                                  \
                "strb r0, [r4, r3]\n\t"                                                            \
                "mov r0, r8\n\t" THM_3X3_FINISH                                                    \
                "strb r0, [r4]\n\t"                                                                \
                "adds r4, r4, r3\n\t"                                                              \
                "adds r4, r4, r3\n\t"                                                              \
                "mov r10, r4\n\t"                                                                  \
                "ldr r0, [sp, #68]\n\t"                                                            \
                "cmp r4, r0\n\t"                                                                   \
                "beq 3f\n\t"                                                                       \
                "b 2b\n"                                                                           \
                "3:\n\t"                                                                           \
                "ldr r0, [sp, #64]\n\t" /* the last of an odd number: twice, with y_step 0 */      \
                "cmp r0, #0\n\t"                                                                   \
                "beq 4f\n\t"                                                                       \
                "ldr r0, [sp, #124]\n\t"                                                           \
                "cmp r0, #0\n\t"                                                                   \
                "beq 4f\n\t"                                                                       \
                "movs r0, #0\n\t"                                                                  \
                "str r0, [sp, #64]\n\t"                                                            \
                "b 2b\n"                                                                           \
                "4:\n\t"                                                                           \
                "ldr r0, [sp, #84]\n\t"                                                            \
                "movs r1, #156\n\t"                                                                \
                "lsls r1, r1, #1\n\t"                                                              \
                "adds r0, r0, r1\n\t"                                                              \
                "str r0, [sp, #84]\n\t"                                                            \
                "ldr r0, [sp, #92]\n\t"                                                            \
                "adds r0, #1\n\t"                                                                  \
                "str r0, [sp, #92]\n\t"                                                            \
                "ldr r0, [sp, #128]\n\t"                                                           \
                "subs r0, #1\n\t"                                                                  \
                "str r0, [sp, #128]\n\t"                                                           \
                "beq 5f\n\t"                                                                       \
                "b 1b\n"                                                                           \
                "5:\n\t"                                                                           \
                "add sp, sp, #72\n\t"                                                              \
                "pop {r4-r6}\n\t"                                                                  \
                "mov r8, r4\n\t"                                                                   \
                "mov r9, r5\n\t"                                                                   \
                "mov r10, r6\n\t"                                                                  \
                "add sp, sp, #16\n\t"                                                              \
                "pop {r4-r7, pc}");                                                                \
    }

THM_3X3_FUNCTION(thm_row_3x3_1, THM_3X3_SLOT_1, "204")
THM_3X3_FUNCTION(thm_row_3x3_2, THM_3X3_SLOT_2, "200")

/* The table of a channel from its three words of taps and its record. */
THM_INLINE void thm_table_3x3(const int32_t *w, const int32_t *record, int32_t center, int32_t *to)
{
    for (int32_t ky = 0; ky < 3; ky++) {
        to[3 * ky] = (int8_t)w[ky];
        to[3 * ky + 1] = (int8_t)(w[ky] >> 8);
        to[3 * ky + 2] = w[ky] >> 24;
    }
    memcpy(to + 9, to, 24);
    to[15] = record[0] >> 8;
    for (int32_t i = 0; i < 4; i++) {
        to[16 + i] = (record[1] >> (8 * i)) & 255;
    }
    to[20] = thm_lsl_byte(center, record[0]);
    to[21] = record[0] & 255;
}

#endif
