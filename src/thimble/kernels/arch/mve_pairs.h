/* Tiles on Helium: VMLADAVA adds sixteen products to a core register with an even number, of which there
 * are eight, so four outputs at two positions are computed together: 14 instructions for 128 products.
 * Compilers neither keep all eight sums in registers nor the loop's state out of them, hence the assembly;
 * it runs over all pairs of positions for one block of four outputs, whose constants stay in q3 to q6.
 *
 * Weights are packed with oc_block 4, k_block 16: 64 bytes for four outputs by sixteen products.
 */
#ifndef THM_ARCH_MVE_PAIRS_H
#define THM_ARCH_MVE_PAIRS_H

#include <arm_mve.h>

#include "../thm.h"

/* What the assembly reads through r11; the first nine words go to r0, r1, r2, r4, r6, r8, r9, r10, r12. */
typedef struct {
    int8_t *y;                   /* next pair's first output */
    const int8_t *w;
    int32_t y_step;
    int32_t x_gap;               /* from the end of a position's products to the pair after */
    int32_t x_step;
    int32_t output_offset;
    int32_t chunks;              /* whole sixteens of a segment */
    const int8_t *y_end;
    int32_t tail;                /* products beyond the whole chunks (one segment only) */
    const int8_t *x;             /* 36 */
    const int8_t *w_next;        /* 40: the whole chunks of a tail; the end of all segments */
    int32_t segment_gap;         /* 44: from the end of a segment to the next */
} thm_mve_pairs;

/* Sixteen products of four outputs at two positions, x in q0 (r3) and q1 (r5), weights at r1. */
#define THM_MVE_PRODUCTS(mla)        \
    "vldrb.8 q2, [r1], #64\n\t"      \
    mla " r0, q0, q2\n\t"            \
    mla " r8, q1, q2\n\t"            \
    "vldrb.8 q2, [r1, #-48]\n\t"     \
    mla " r2, q0, q2\n\t"            \
    mla " r10, q1, q2\n\t"           \
    "vldrb.8 q2, [r1, #-32]\n\t"     \
    mla " r4, q0, q2\n\t"            \
    mla " r12, q1, q2\n\t"           \
    "vldrb.8 q2, [r1, #-16]\n\t"     \
    mla " r6, q0, q2\n\t"            \
    mla " lr, q1, q2\n\t"

#define THM_MVE_CHUNK(mla)           \
    "vldrb.8 q0, [r3], #16\n\t"      \
    "vldrb.8 q1, [r5], #16\n\t"      \
    THM_MVE_PRODUCTS(mla)

#define THM_MVE_BEGIN                                 \
    "ldm r11, {r0, r1, r2, r4, r6, r8, r9, r10, r12}\n\t" \
    "ldr r3, [r11, #36]\n\t"

/* Requantize and store eight sums; the next pair if there is one. */
#define THM_MVE_END                                       \
    "vmov q0[2], q0[0], r0, r4\n\t"                       \
    "vmov q0[3], q0[1], r2, r6\n\t"                       \
    "vmov q1[2], q1[0], r8, r12\n\t"                      \
    "vmov q1[3], q1[1], r10, lr\n\t"                      \
    "vadd.i32 q0, q0, q3\n\t"                             \
    "vadd.i32 q1, q1, q3\n\t"                             \
    "vqrdmulh.s32 q0, q0, q4\n\t"                         \
    "ldm r11, {r0, r1, r2, r4, r6, r8, r9, r10, r12}\n\t" \
    "vqrdmulh.s32 q1, q1, q4\n\t"                         \
    "vshl.s32 q2, q0, q5\n\t"                             \
    "vshl.s32 q7, q1, q5\n\t"                             \
    "vadd.i32 q0, q0, q2\n\t"                             \
    "vadd.i32 q1, q1, q7\n\t"                             \
    "vrshl.s32 q0, q0, q6\n\t"                            \
    "vrshl.s32 q1, q1, q6\n\t"                            \
    "vqmovnb.s32 q0, q0\n\t"                              \
    "vqmovnt.s32 q0, q1\n\t"                              \
    "vqadd.s16 q0, q0, r8\n\t"                            \
    "vqmovnb.s16 q0, q0\n\t"                              \
    "vstrb.32 q0, [r0]\n\t"                               \
    "add r0, r0, r2\n\t"                                  \
    "vshr.u32 q0, q0, #16\n\t"                            \
    "vstrb.32 q0, [r0]\n\t"                               \
    "add r0, r0, r2\n\t"                                  \
    "add r3, r3, r4\n\t"                                  \
    "str r0, [r11]\n\t"                                   \
    "cmp r0, r10\n\t"                                     \
    "bne 1b\n\t"

/* To the next segment, until the weights of the block are used up. */
#define THM_MVE_NEXT_SEGMENT                          \
    "ldr r9, [r11, #40]\n\t"                          \
    "cmp r1, r9\n\t"                                  \
    "beq 4f\n\t"                                      \
    "ldr r9, [r11, #44]\n\t"                          \
    "add r3, r3, r9\n\t"                              \
    "add r5, r5, r9\n\t"                              \
    "ldr r9, [r11, #24]\n\t"                          \
    "b 2b\n"                                          \
    "4:\n\t"

/* One segment of whole chunks. */
#define THM_MVE_WHOLE                                 \
    THM_MVE_BEGIN                                     \
    "1:\n\t"                                          \
    "add r5, r3, r6\n\t"                              \
    THM_MVE_CHUNK("vmladav.s8")                       \
    "subs r9, r9, #1\n\t"                             \
    "beq 4f\n"                                        \
    "2:\n\t"                                          \
    THM_MVE_CHUNK("vmladava.s8")                      \
    "subs r9, r9, #1\n\t"                             \
    "bne 2b\n"                                        \
    "4:\n\t"                                          \
    THM_MVE_END

/* One segment whose last chunk is not full: that one first (x and w start there). */
#define THM_MVE_TAIL                                  \
    THM_MVE_BEGIN                                     \
    "vctp.8 r12\n"                                    \
    "1:\n\t"                                          \
    "add r5, r3, r6\n\t"                              \
    "vpstt\n\t"                                       \
    "vldrbt.8 q0, [r3]\n\t"                           \
    "vldrbt.8 q1, [r5]\n\t"                           \
    THM_MVE_PRODUCTS("vmladav.s8")                    \
    "cmp r9, #0\n\t"                                  \
    "beq 4f\n\t"                                      \
    "sub r3, r3, r9, lsl #4\n\t"                      \
    "sub r5, r5, r9, lsl #4\n\t"                      \
    "ldr r1, [r11, #40]\n"                            \
    "2:\n\t"                                          \
    THM_MVE_CHUNK("vmladava.s8")                      \
    "subs r9, r9, #1\n\t"                             \
    "bne 2b\n"                                        \
    "4:\n\t"                                          \
    THM_MVE_END

/* Several segments of whole chunks, one chunk at a time. */
#define THM_MVE_SEGMENTS                              \
    THM_MVE_BEGIN                                     \
    "1:\n\t"                                          \
    "add r5, r3, r6\n\t"                              \
    THM_MVE_CHUNK("vmladav.s8")                       \
    "subs r9, r9, #1\n\t"                             \
    "beq 3f\n"                                        \
    "2:\n\t"                                          \
    THM_MVE_CHUNK("vmladava.s8")                      \
    "subs r9, r9, #1\n\t"                             \
    "bne 2b\n"                                        \
    "3:\n\t"                                          \
    THM_MVE_NEXT_SEGMENT                              \
    THM_MVE_END

/* The same where their number is a multiple of `count`: one chunk and `more` in a round. */
#define THM_MVE_ROUNDS(count, more, next)             \
    THM_MVE_BEGIN                                     \
    "1:\n\t"                                          \
    "add r5, r3, r6\n\t"                              \
    THM_MVE_CHUNK("vmladav.s8")                       \
    "b 3f\n"                                          \
    "2:\n\t"                                          \
    THM_MVE_CHUNK("vmladava.s8")                      \
    "3:\n\t"                                          \
    more                                              \
    "subs r9, r9, #" count "\n\t"                     \
    "bne 2b\n\t"                                      \
    next                                              \
    THM_MVE_END
#define THM_MVE_TWO THM_MVE_CHUNK("vmladava.s8") THM_MVE_CHUNK("vmladava.s8")
#define THM_MVE_THREE THM_MVE_TWO THM_MVE_CHUNK("vmladava.s8")

/* Compilers that look for size take the one loop that does it all. */
#if defined(__OPTIMIZE_SIZE__)
#define THM_MVE_UNROLLS 0
#else
#define THM_MVE_UNROLLS 1
#endif

#define THM_MVE_RUN(text)                                                                           \
    __asm__ volatile(text                                                                           \
                     :                                                                              \
                     : "r"(r11), "w"(q3), "w"(q4), "w"(q5), "w"(q6)                                 \
                     : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r12", "lr",    \
                       "q0", "q1", "q2", "q7", "cc", "memory")

#endif
