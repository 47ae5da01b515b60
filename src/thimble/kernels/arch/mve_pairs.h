/* Tiles on Helium: VMLADAVA adds sixteen products to a core register with an even number, of which there
 * are eight, so four outputs at two positions are computed together: 14 instructions for 128 products.
 * Compilers neither keep all eight sums in registers nor the loop's state out of them, hence the assembly;
 * it runs over a batch of pairs of positions for one block of four outputs.
 *
 * What a pair needs is loaded by few instructions: LDM sets all sums to the biases and rewinds the weights,
 * another brings the addresses of the pair's products and outputs from a table that all blocks share.
 * So pairs may lie anywhere, and a patch may consist of any runs.
 *
 * Weights are packed with oc_block 4, k_block 16: 64 bytes for four outputs by sixteen products.
 */
#ifndef THM_ARCH_MVE_PAIRS_H
#define THM_ARCH_MVE_PAIRS_H

#include <arm_mve.h>

#include "../thm.h"

/* Addresses that a table holds: two for each run of products of a pair, and one of its outputs. */
#define THM_MVE_TABLE 64

/* The table, filled up to its end; behind it what LDM puts into r0, r1, r2, r4, r6, r8, r9, r10, r12 and lr
 * for each pair; then what the loop over blocks of four outputs needs. */
typedef struct {
    const int8_t *table[THM_MVE_TABLE];
    int32_t sums_0;              /* the biases, twice */
    const int8_t *w;
    int32_t sums_1[4];           /* 8 */
    int32_t rounds;              /* twice the runs (or chunks) of a pair, less 1 where negative results are
                                    clamped; the address of sums_0 where all is done at once */
    int32_t sums_2[3];
    const int32_t *bias, *multiplier;      /* 40 */
    const int8_t *shift;                   /* 48 */
    int32_t multiplier_step, shift_step;   /* 52 */
    int32_t w_step;                        /* 60 */
    const int8_t *const *start;            /* 64: of the table */
    int32_t blocks;                        /* 68 */
    int32_t part;                          /* 72: of the last chunk */
    void (*pairs)(void);                   /* 76 */
} thm_mve_pairs;

#define THM_MVE_LOAD(base) "ldm " base ", {r0, r1, r2, r4, r6, r8, r9, r10, r12, lr}\n\t"

/* Sixteen products of four outputs at two positions, x in q0 (r3) and q1 (r5), weights at r1. */
#define THM_MVE_PRODUCTS             \
    "vldrb.8 q2, [r1], #64\n\t"      \
    "vmladava.s8 r0, q0, q2\n\t"     \
    "vmladava.s8 r8, q1, q2\n\t"     \
    "vldrb.8 q2, [r1, #-48]\n\t"     \
    "vmladava.s8 r2, q0, q2\n\t"     \
    "vmladava.s8 r10, q1, q2\n\t"    \
    "vldrb.8 q2, [r1, #-32]\n\t"     \
    "vmladava.s8 r4, q0, q2\n\t"     \
    "vmladava.s8 r12, q1, q2\n\t"    \
    "vldrb.8 q2, [r1, #-16]\n\t"     \
    "vmladava.s8 r6, q0, q2\n\t"     \
    "vmladava.s8 lr, q1, q2\n\t"
#define THM_MVE_CHUNK                \
    "vldrb.8 q0, [r3], #16\n\t"      \
    "vldrb.8 q1, [r5], #16\n\t"      \
    THM_MVE_PRODUCTS
#define THM_MVE_PART                 \
    "vpstt\n\t"                      \
    "vldrbt.8 q0, [r3]\n\t"          \
    "vldrbt.8 q1, [r5]\n\t"          \
    THM_MVE_PRODUCTS
#define THM_MVE_TWO THM_MVE_CHUNK THM_MVE_CHUNK
#define THM_MVE_THREE THM_MVE_TWO THM_MVE_CHUNK
#define THM_MVE_FOUR THM_MVE_TWO THM_MVE_TWO

/* VRSHL rounds halves up, TFLite away from zero: one less where negative and shifted right. */
#define THM_MVE_AWAY                 \
    "vshl.s32 q2, q0, q7\n\t"        \
    "vadd.i32 q0, q0, q2\n\t"        \
    "vshl.s32 q2, q1, q7\n\t"        \
    "vadd.i32 q1, q1, q2\n\t"

/* The same, skipped where the sums' last round left the counter negative. */
#define THM_MVE_AWAY_IF              \
    "bmi 5f\n\t"                     \
    THM_MVE_AWAY                     \
    "5:\n\t"

/* Requantize eight sums and store them from register y on; until the table ends. */
#define THM_MVE_END(away, y, end)        \
    "vmov q0[2], q0[0], r0, r4\n\t"      \
    "vmov q0[3], q0[1], r2, r6\n\t"      \
    "vmov q1[2], q1[0], r8, r12\n\t"     \
    "vmov q1[3], q1[1], r10, lr\n\t"     \
    "vqrdmulh.s32 q0, q0, q4\n\t"        \
    "vqrdmulh.s32 q1, q1, q4\n\t"        \
    away                                 \
    "vrshl.s32 q0, q0, q6\n\t"           \
    "vrshl.s32 q1, q1, q6\n\t"           \
    "vqmovnb.s32 q0, q0\n\t"             \
    "vqmovnt.s32 q0, q1\n\t"             \
    "vqadd.s16 q0, q0, q3\n\t"           \
    "vqmovnb.s16 q0, q0\n\t"             \
    "vstrb.16 q0, [" y ", q5]\n\t"       \
    "cmp r7, " end "\n\t"                \
    "bne 1b\n\t"                         \
    "pop {pc}\n\t"

#define THM_MVE_BEGIN                    \
    "push {lr}\n"                        \
    "1:\n\t"

/* One run of few chunks, all in one go, of which negative results are clamped, whichever way they are
 * rounded. */
#define THM_MVE_AT_ONCE(chunks)          \
    THM_MVE_BEGIN                        \
    "ldm r7!, {r3, r5, r11}\n\t"         \
    THM_MVE_LOAD("r9")                   \
    chunks                               \
    THM_MVE_END("", "r11", "r9")

/* One run, by so many chunks at a time. */
#define THM_MVE_BY(chunks)               \
    THM_MVE_BEGIN                        \
    THM_MVE_LOAD("r11")                  \
    "ldrd r3, r5, [r7], #8\n"            \
    "2:\n\t"                             \
    chunks                               \
    "subs r9, r9, #2\n\t"                \
    "bgt 2b\n\t"                         \
    "ldr r3, [r7], #4\n\t"               \
    THM_MVE_END(THM_MVE_AWAY_IF, "r3", "r11")

/* Any number of runs of a chunk. */
#define THM_MVE_RUNS                     \
    THM_MVE_BEGIN                        \
    THM_MVE_LOAD("r11")                  \
    "2:\n\t"                             \
    "ldrd r3, r5, [r7], #8\n\t"          \
    THM_MVE_CHUNK                        \
    "subs r9, r9, #2\n\t"                \
    "bgt 2b\n\t"                         \
    "ldr r3, [r7], #4\n\t"               \
    THM_MVE_END(THM_MVE_AWAY_IF, "r3", "r11")

/* One run of any length, of whose last chunk the tail predicate takes a part. */
#define THM_MVE_ANY                      \
    THM_MVE_BEGIN                        \
    THM_MVE_LOAD("r11")                  \
    "ldrd r3, r5, [r7], #8\n\t"          \
    "b 3f\n"                             \
    "2:\n\t"                             \
    THM_MVE_CHUNK                        \
    "3:\n\t"                             \
    "subs r9, r9, #2\n\t"                \
    "bgt 2b\n\t"                         \
    THM_MVE_PART                         \
    "ldr r3, [r7], #4\n\t"               \
    THM_MVE_END(THM_MVE_AWAY_IF, "r3", "r11")

/* Called from the loop over blocks with r7 the table, r9 and r11 its end, q3 the output offset in 16 bits, q4
 * multipliers, q5 where outputs go, q6 shifts, q7 their signs' shifts; changes all but r7, q3 to q7. */
#define THM_MVE_PAIRS(name, text) \
    __attribute__((naked, noinline, unused)) static void name(void) { __asm__ volatile(text); }
THM_MVE_PAIRS(thm_mve_any, THM_MVE_ANY)
THM_MVE_PAIRS(thm_mve_runs, THM_MVE_RUNS)
THM_MVE_PAIRS(thm_mve_by_three, THM_MVE_BY(THM_MVE_THREE))
THM_MVE_PAIRS(thm_mve_by_four, THM_MVE_BY(THM_MVE_FOUR))
THM_MVE_PAIRS(thm_mve_part, THM_MVE_AT_ONCE(THM_MVE_PART))
THM_MVE_PAIRS(thm_mve_two, THM_MVE_AT_ONCE(THM_MVE_TWO))
THM_MVE_PAIRS(thm_mve_four, THM_MVE_AT_ONCE(THM_MVE_FOUR))

/* The loop over blocks; outputs of the first go to `places`. */
THM_INLINE void thm_mve_blocks(thm_mve_pairs *p, int32_t output_offset, uint16x8_t places)
{
    register int32_t *r9 __asm__("r9") = &p->sums_0;
    register int16x8_t q3 __asm__("q3") = vdupq_n_s16((int16_t)output_offset);
    register uint16x8_t q5 __asm__("q5") = places;
    __asm__ volatile("push {r7, r9}\n" /* compilers keep r7 for themselves */
                     "1:\n\t"
                     "ldrd r0, r1, [r9, #40]\n\t"
                     "ldrd r2, r4, [r9, #48]\n\t"
                     "vldrw.32 q4, [r1]\n\t"
                     "ldr r6, [r9, #56]\n\t"
                     "vldrb.s32 q6, [r2]\n\t"
                     "add r1, r1, r4\n\t"
                     "add r2, r2, r6\n\t"
                     "ldm r0!, {r3, r4, r5, r6}\n\t"
                     "vshr.s32 q7, q6, #31\n\t"
                     "strd r0, r1, [r9, #40]\n\t"
                     "mov r0, #63\n\t"
                     "str r2, [r9, #48]\n\t"
                     "mov r1, #32\n\t"
                     "vmul.i32 q7, q7, r0\n\t" /* -31 where shifted right, else 32, which leaves nothing */
                     "str r3, [r9]\n\t"
                     "vadd.i32 q7, q7, r1\n\t"
                     "strd r4, r5, [r9, #8]\n\t"
                     "strd r6, r3, [r9, #16]\n\t"
                     "strd r4, r5, [r9, #28]\n\t"
                     "str r6, [r9, #36]\n\t"
                     "mov r11, r9\n\t"
                     "ldrd r0, r1, [r9, #72]\n\t"
                     "ldr r7, [r9, #64]\n\t"
                     "vctp.8 r0\n\t"
                     "blx r1\n\t"
                     "ldr r9, [sp, #4]\n\t"
                     "mov r1, #4\n\t"
                     "ldr r0, [r9, #4]\n\t"
                     "vadd.i16 q5, q5, r1\n\t"
                     "ldr r2, [r9, #60]\n\t"
                     "ldr r1, [r9, #68]\n\t"
                     "add r0, r0, r2\n\t"
                     "str r0, [r9, #4]\n\t"
                     "subs r1, r1, #1\n\t"
                     "str r1, [r9, #68]\n\t"
                     "bne 1b\n\t"
                     "pop {r7, r9}\n\t"
                     : "+r"(r9), "+w"(q5)
                     : "w"(q3)
                     : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r10", "r11", "r12", "lr", "q0",
                       "q1", "q2", "q4", "q6", "q7", "cc", "memory");
}

/* Compilers that look for size take the loop that does it all: one run of any length; other tiles are summed
 * position by position. */
#if defined(__OPTIMIZE_SIZE__)
#define THM_MVE_UNROLLS 0
#else
#define THM_MVE_UNROLLS 1
#endif

#endif
