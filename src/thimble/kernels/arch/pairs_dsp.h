/* thm_pairs_tile_<n> (pairs.h) for the DSP extension. In assembly because it needs all registers: compilers
 * spill. The arguments of the frame: [sp] scratch, 4 x, 8 x_end, 12 records, 52 y, 56 y_step, 60 y_end,
 * 64 center. */
#ifndef THM_ARCH_PAIRS_DSP_H
#define THM_ARCH_PAIRS_DSP_H

#include "dsp.h"

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

#endif
