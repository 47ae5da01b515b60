/* DEPTHWISE_CONV_2D on Helium: sixteen channels at a time (or several positions of fewer).
 *
 * VMULLB and VMULLT multiply the even and the odd lanes into 16 bits, which hold the products of two taps
 * (weights are at least -127); the sums of each two are widened and added to four vectors of int32.
 * Rows are copied to scratch once, as [block][column][16] with x_zero for the padding, so that all taps of
 * all positions are 16 bytes apart whatever the number of channels; border and interior are then the same.
 */
#ifndef THM_ARCH_MVE_DEPTHWISE_H
#define THM_ARCH_MVE_DEPTHWISE_H

#include <arm_mve.h>

#include "mve_tile.h"

/* A row of positions, all blocks of channels. */
typedef struct {
    const int8_t *w;
    const int32_t *record;       /* 16 biases, 16 multipliers, 16 shifts of a byte */
    int32_t taps;
    int32_t step, block_step;    /* bytes from vector to vector of positions, from block to block */
    int32_t y_step;
    int32_t channels, together;  /* `together` positions are one vector */
    int32_t output_offset;
    int32_t is_positive;         /* negative results are clamped, whichever way they are rounded */
} thm_mve_depthwise;

/* The products of two taps; q6 and q7 are free after the first. */
#define THM_MVE_TAP(x, w)                 \
    "vldrb.8 q6, " x "\n\t"               \
    "vldrb.8 q7, " w "\n\t"               \
    "vmullb.s8 q4, q6, q7\n\t"            \
    "vmullt.s8 q5, q6, q7\n\t"
/* There is no ninth register for the second, so that its weights are read twice. */
#define THM_MVE_SECOND_TAP(x, w)          \
    "vldrb.8 q6, " x "\n\t"               \
    "vldrb.8 q7, " w "\n\t"               \
    "vmullb.s8 q7, q6, q7\n\t"            \
    "vadd.i16 q4, q4, q7\n\t"             \
    "vldrb.8 q7, " w "\n\t"               \
    "vmullt.s8 q6, q6, q7\n\t"            \
    "vadd.i16 q5, q5, q6\n\t"
/* q0 to q3 += the two sums, widened. */
#define THM_MVE_WIDEN                     \
    "vmovlb.s16 q6, q4\n\t"               \
    "vmovlb.s16 q7, q5\n\t"               \
    "vadd.i32 q0, q0, q6\n\t"             \
    "vmovlt.s16 q4, q4\n\t"               \
    "vadd.i32 q1, q1, q7\n\t"             \
    "vmovlt.s16 q5, q5\n\t"               \
    "vadd.i32 q2, q2, q4\n\t"             \
    "vadd.i32 q3, q3, q5\n\t"
#define THM_MVE_BIASES                    \
    "vldrw.32 q0, [r4, #-64]\n\t"         \
    "vldrw.32 q1, [r4, #-48]\n\t"         \
    "vldrw.32 q2, [r4, #-32]\n\t"         \
    "vldrw.32 q3, [r4, #-16]\n\t"
/* Requantize and store a vector; r4 is the record, r5 y, r9 its step, r10 the output offset. One less
 * where negative and shifted right, as THM_MVE_AWAY in mve_pairs.h: any shift at most 0. */
#define THM_MVE_DOWN(a, b, m, n, s, t)    \
    "vldrw.32 q4, [r4, #" m "]\n\t"       \
    "vldrw.32 q5, [r4, #" n "]\n\t"       \
    "vqrdmulh.s32 " a ", " a ", q4\n\t"   \
    "vldrb.s32 q6, [r4, #" s "]\n\t"      \
    "vqrdmulh.s32 " b ", " b ", q5\n\t"   \
    "vldrb.s32 q7, [r4, #" t "]\n\t"      \
    "vand q4, " a ", q6\n\t"              \
    "vshr.s32 q4, q4, #31\n\t"            \
    "vand q5, " b ", q7\n\t"              \
    "vshr.s32 q5, q5, #31\n\t"            \
    "vadd.i32 " a ", " a ", q4\n\t"       \
    "vadd.i32 " b ", " b ", q5\n\t"       \
    "vrshl.s32 " a ", " a ", q6\n\t"      \
    "vrshl.s32 " b ", " b ", q7\n\t"
#define THM_MVE_STORE                     \
    THM_MVE_DOWN("q0", "q2", "0", "32", "64", "72")  \
    THM_MVE_DOWN("q1", "q3", "16", "48", "68", "76") \
    THM_MVE_NARROW
/* The same where every shift is below 0; r6: not 0 where negative results are clamped. */
#define THM_MVE_LESS(of)                  \
    "vshr.s32 q4, " of ", #31\n\t"        \
    "vadd.i32 " of ", " of ", q4\n\t"
#define THM_MVE_STORE_DOWN                \
    "vldrw.32 q4, [r4, #0]\n\t"           \
    "vldrw.32 q5, [r4, #16]\n\t"          \
    "vqrdmulh.s32 q0, q0, q4\n\t"         \
    "vldrw.32 q6, [r4, #32]\n\t"          \
    "vqrdmulh.s32 q1, q1, q5\n\t"         \
    "vldrw.32 q7, [r4, #48]\n\t"          \
    "vqrdmulh.s32 q2, q2, q6\n\t"         \
    "vqrdmulh.s32 q3, q3, q7\n\t"         \
    "cbnz r6, 7f\n\t"                     \
    THM_MVE_LESS("q0")                    \
    THM_MVE_LESS("q1")                    \
    THM_MVE_LESS("q2")                    \
    THM_MVE_LESS("q3")                    \
    "7:\n\t"                              \
    "vldrb.s32 q4, [r4, #64]\n\t"         \
    "vldrb.s32 q5, [r4, #68]\n\t"         \
    "vrshl.s32 q0, q0, q4\n\t"            \
    "vldrb.s32 q6, [r4, #72]\n\t"         \
    "vrshl.s32 q1, q1, q5\n\t"            \
    "vldrb.s32 q7, [r4, #76]\n\t"         \
    "vrshl.s32 q2, q2, q6\n\t"            \
    "vrshl.s32 q3, q3, q7\n\t"            \
    THM_MVE_NARROW
#define THM_MVE_NARROW                    \
    "vqmovnb.s32 q0, q0\n\t"              \
    "vqmovnb.s32 q1, q1\n\t"              \
    "vqmovnt.s32 q0, q2\n\t"              \
    "vqmovnt.s32 q1, q3\n\t"              \
    "vqadd.s16 q0, q0, r10\n\t"           \
    "vqadd.s16 q1, q1, r10\n\t"           \
    "vqmovnb.s16 q0, q0\n\t"              \
    "vqmovnt.s16 q0, q1\n\t"              \
    "vpst\n\t"                            \
    "vstrbt.8 q0, [r5]\n\t"               \
    "add r5, r5, r9\n\t"

/* n >= 1 vectors of a 3 x 3 filter for every block, `lanes` channels in all; every shift below 0. */
__attribute__((noinline, unused)) static void
thm_mve_depthwise_3x3(const thm_mve_depthwise *t, int32_t n, int32_t lanes, const int8_t *const *x,
                      int32_t offset, int8_t *y)
{
    const int32_t again[3] = {n, t->block_step - n * t->step, 16 - n * t->y_step};
    register const int8_t *r0 __asm__("r0") = x[0] + offset;
    register const int8_t *r1 __asm__("r1") = x[3] + offset;
    register const int8_t *r2 __asm__("r2") = x[6] + offset;
    register const int8_t *r3 __asm__("r3") = t->w + 64; /* offsets of loads lie in [-127, 127] */
    register const int32_t *r4 __asm__("r4") = t->record + 16;
    register int8_t *r5 __asm__("r5") = y;
    register int32_t r6 __asm__("r6") = t->is_positive;
    register int32_t r8 __asm__("r8") = t->step;
    register int32_t r9 __asm__("r9") = t->y_step;
    register int32_t r10 __asm__("r10") = t->output_offset;
    register int32_t r11 __asm__("r11") = lanes;
    register const int32_t *r12 __asm__("r12") = again;
    __asm__ volatile(
        "1:\n\t"
        "vctp.8 r11\n\t"
        "ldr lr, [r12]\n\t"
        "dls lr, lr\n"
        "2:\n\t"
        THM_MVE_TAP("[r0]", "[r3, #-64]")
        THM_MVE_BIASES
        THM_MVE_SECOND_TAP("[r0, #16]", "[r3, #-48]")
        THM_MVE_WIDEN
        THM_MVE_TAP("[r0, #32]", "[r3, #-32]")
        "add r0, r0, r8\n\t"
        THM_MVE_SECOND_TAP("[r1]", "[r3, #-16]")
        THM_MVE_WIDEN
        THM_MVE_TAP("[r1, #16]", "[r3]")
        THM_MVE_SECOND_TAP("[r1, #32]", "[r3, #16]")
        "add r1, r1, r8\n\t"
        THM_MVE_WIDEN
        THM_MVE_TAP("[r2]", "[r3, #32]")
        THM_MVE_SECOND_TAP("[r2, #16]", "[r3, #48]")
        THM_MVE_WIDEN
        THM_MVE_TAP("[r2, #32]", "[r3, #64]")
        "add r2, r2, r8\n\t"
        THM_MVE_WIDEN
        THM_MVE_STORE_DOWN
        "le lr, 2b\n\t"
        "ldr lr, [r12, #4]\n\t"
        "add r3, r3, #144\n\t"
        "add r0, r0, lr\n\t"
        "add r1, r1, lr\n\t"
        "add r2, r2, lr\n\t"
        "ldr lr, [r12, #8]\n\t"
        "add r4, r4, #144\n\t"
        "subs r11, r11, #16\n\t"
        "add r5, r5, lr\n\t"
        "bgt 1b\n\t"
        : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r11)
        : "r"(r6), "r"(r8), "r"(r9), "r"(r10), "r"(r12)
        : "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "cc", "memory");
}

/* n >= 1 vectors of any filter and one block of at most `channels`: tap k of the first is at x[k] + offset.
 */
THM_INLINE void thm_mve_depthwise_any(const thm_mve_depthwise *t, const int8_t *const *x,
                                      int32_t offset, int32_t n, int32_t channels, int8_t *y)
{
    const struct {
        const int8_t *const *x;
        int32_t pairs;
        const int8_t *w;
        int32_t is_odd, channels;
    } again = {x, t->taps / 2, t->w, t->taps % 2, channels};
    register int32_t r1 __asm__("r1") = offset;
    register const int32_t *r4 __asm__("r4") = t->record + 16;
    register int8_t *r5 __asm__("r5") = y;
    register int32_t r8 __asm__("r8") = t->step;
    register int32_t r9 __asm__("r9") = t->y_step;
    register int32_t r10 __asm__("r10") = t->output_offset;
    register int32_t r11 __asm__("r11") = n;
    register const void *r12 __asm__("r12") = &again;
    __asm__ volatile(
        "ldr r0, [r12, #16]\n\t"
        "vctp.8 r0\n"
        "1:\n\t"
        THM_MVE_BIASES
        "ldrd r0, lr, [r12]\n\t"
        "ldrd r3, r2, [r12, #8]\n\t"
        "wls lr, lr, 3f\n"
        "2:\n\t"
        "ldrd r2, r6, [r0], #8\n\t"
        "add r2, r2, r1\n\t"
        "vldrb.8 q7, [r3], #32\n\t"
        "add r6, r6, r1\n\t"
        "vpst\n\t"
        "vldrbt.8 q6, [r2]\n\t"
        "vmullb.s8 q4, q6, q7\n\t"
        "vmullt.s8 q5, q6, q7\n\t"
        "vpst\n\t"
        "vldrbt.8 q6, [r6]\n\t"
        "vldrb.8 q7, [r3, #-16]\n\t"
        "vmullb.s8 q7, q6, q7\n\t"
        "vadd.i16 q4, q4, q7\n\t"
        "vldrb.8 q7, [r3, #-16]\n\t"
        "vmullt.s8 q6, q6, q7\n\t"
        "vadd.i16 q5, q5, q6\n\t"
        THM_MVE_WIDEN
        "le lr, 2b\n\t"
        "ldr r2, [r12, #12]\n"
        "3:\n\t"
        "cbz r2, 4f\n\t"
        "ldr r2, [r0]\n\t"
        "vldrb.8 q7, [r3]\n\t"
        "add r2, r2, r1\n\t"
        "vpst\n\t"
        "vldrbt.8 q6, [r2]\n\t"
        "vmullb.s8 q4, q6, q7\n\t"
        "vmullt.s8 q5, q6, q7\n\t"
        THM_MVE_WIDEN
        "4:\n\t"
        THM_MVE_STORE
        "add r1, r1, r8\n\t"
        "subs r11, r11, #1\n\t"
        "bne 1b\n\t"
        : "+r"(r1), "+r"(r5), "+r"(r11)
        : "r"(r4), "r"(r8), "r"(r9), "r"(r10), "r"(r12)
        : "r0", "r2", "r3", "r6", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "cc", "memory");
}

/* n vectors of any filter, `lanes` channels in all: tap k of the first is at x[k]. */
__attribute__((noinline, unused)) static void
thm_mve_depthwise_blocks(const thm_mve_depthwise *row, int32_t n, int32_t lanes,
                         const int8_t *const *x, int32_t offset, int8_t *y)
{
    thm_mve_depthwise t = *row;
    for (; lanes > 0; lanes -= 16) {
        thm_mve_depthwise_any(&t, x, offset, n, lanes, y);
        t.w += 16 * t.taps;
        t.record += THM_BLOCK_WORDS;
        offset += t.block_step;
        y += 16;
    }
}

/* A row of n positions: whole vectors, then what is left. */
THM_INLINE void thm_mve_depthwise_row(const thm_mve_depthwise *t, int32_t is_3x3, int32_t n,
                                      const int8_t *const *x, int8_t *y)
{
    int32_t count = n / t->together, lanes = t->together * t->channels, offset = 0;
    for (int32_t left = n % t->together;; left = 0) {
        if (count > 0 && is_3x3) {
            thm_mve_depthwise_3x3(t, count, lanes, x, offset, y);
        } else if (count > 0) {
            thm_mve_depthwise_blocks(t, count, lanes, x, offset, y);
        }
        if (left == 0) {
            return;
        }
        offset += count * t->step;
        y += count * t->y_step;
        count = 1;
        lanes = left * t->channels;
    }
}

/* How many positions share a vector. */
THM_INLINE int32_t thm_mve_positions(const thm_depthwise_conv_2d_blocked_s8_params *p)
{
    return p->in_c < 16 && 16 % p->in_c == 0 && p->stride_w == 1 ? 16 / p->in_c : 1;
}

/* Copy one row: entry `column` of a block holds the 16 bytes from column - pad_left on, so far as they lie
 * inside the image (and the block); the rest has been filled with x_zero once and stays. */
__attribute__((noinline, unused)) static void
thm_mve_copy_row(const thm_depthwise_conv_2d_blocked_s8_params *p, const int8_t *x, int8_t *to)
{
    const int32_t channels = p->in_c, together = thm_mve_positions(p);
    const int32_t end = thm_min(p->columns - p->pad_left, p->in_w);
    const int32_t whole = thm_min(end, p->in_w - together + 1); /* entries of columns inside only */
    for (int32_t c = 0; c < channels; c += 16) {
        const int32_t bytes = together > 1 ? 16 : channels - c;
        const mve_pred16_t lanes = vctp8q((uint32_t)bytes);
        const int8_t *from = x + c;
        int8_t *entry = to + 16 * p->pad_left;
        if (bytes >= 16 && THM_MVE_UNROLLS) {
            for (int32_t column = whole; column > 0; column--) {
                vstrbq_s8(entry, vldrbq_s8(from));
                from += channels;
                entry += 16;
            }
        } else {
            for (int32_t column = whole; column > 0; column--) {
                vstrbq_s8(entry, vldrbq_z_s8(from, lanes));
                from += channels;
                entry += 16;
            }
        }
        to += 16 * p->columns;
    }
    if (together == 1) {
        return;
    }
    to -= 16 * p->columns;
    int32_t column = -thm_min(p->pad_left, together - 1);
    while (column < end) {
        if (column == 0) {
            column = thm_max(whole, 0);
            if (column >= end) {
                break;
            }
        }
        const uint32_t before = (uint32_t)(thm_max(-column, 0) * channels);
        const uint32_t after = (uint32_t)(thm_min(p->in_w - column, together) * channels);
        const mve_pred16_t part = (mve_pred16_t)(vctp8q(after) & ~vctp8q(before));
        vstrbq_p_s8(to + 16 * (p->pad_left + column), vldrbq_z_s8(x + column * channels, part),
                    part);
        column++;
    }
}

THM_INLINE void thm_depthwise_blocked_s8(const thm_depthwise_conv_2d_blocked_s8_params *p,
                                         int32_t y_first, int32_t y_count, const int8_t *x,
                                         const int8_t *w, const int32_t *records,
                                         int8_t *scratch, int8_t *y)
{
    const int32_t taps = p->filter_h * p->filter_w, together = thm_mve_positions(p);
    const int32_t row_bytes = (p->in_c + 15) / 16 * 16 * p->columns;
    const int32_t slots = (p->filter_h - 1) * p->dilation_h + 1; /* rows kept, one of padding after */
    const int8_t **tap = (const int8_t **)(void *)scratch;
    int8_t *rows = scratch + (4 * taps + 15) / 16 * 16;
    const int32_t column_step = p->copies ? 16 : p->in_c;
    /* A single column is one row of positions. */
    const int32_t is_column = !p->copies && p->out_w == 1 && together == 1 &&
                              p->x_ring >= p->in_h && p->y_ring >= y_first + y_count;
    const int32_t is_fast = p->copies && p->filter_h == 3 && p->filter_w == 3 &&
                            p->dilation_w == 1 && p->is_down;
    /* For size only one of the two, the general one where calls differ. */
    const int32_t is_3x3 = is_fast && (THM_MVE_UNROLLS || __builtin_constant_p(is_fast));
    const thm_mve_depthwise t = {
        .w = w,
        .record = records,
        .taps = taps,
        .step = is_column ? p->stride_h * p->in_w * p->in_c
                          : together * p->stride_w * column_step,
        .block_step = p->copies ? 16 * p->columns : 16,
        .channels = p->in_c,
        .together = together,
        .output_offset = p->output_offset,
        .is_positive = p->act_min >= p->output_offset,
        .y_step = together * p->in_c,
    };
    if (p->copies) {
        thm_fill_s8(rows, p->x_zero, (slots + 1) * row_bytes);
    }
    int32_t next = y_first * p->stride_h - p->pad_top;
    for (int32_t oy = y_first; oy < y_first + y_count; oy++) {
        const int32_t iy = oy * p->stride_h - p->pad_top;
        if (p->copies) {
            for (next = thm_max(next, iy); next < iy + slots; next++) {
                if (next >= 0 && next < p->in_h) {
                    thm_mve_copy_row(p, x + thm_ring(next, p->x_ring) * p->in_w * p->in_c,
                                     rows + next % slots * row_bytes);
                }
            }
        }
        const int8_t **to = tap;
        for (int32_t ky = 0; ky < p->filter_h; ky++) {
            const int32_t sy = iy + ky * p->dilation_h;
            const int8_t *row = rows + slots * row_bytes;
            if (!p->copies) {
                row = x + thm_ring(sy, p->x_ring) * p->in_w * p->in_c;
            } else if (sy >= 0 && sy < p->in_h) {
                row = rows + sy % slots * row_bytes;
            }
            for (int32_t kx = 0; kx < p->filter_w; kx++) {
                *to++ = row;
                row += p->dilation_w * column_step;
            }
        }
        int8_t *out = y + thm_ring(oy, p->y_ring) * p->out_w * p->in_c;
        const int32_t positions = is_column ? y_count : p->out_w;
        thm_mve_depthwise_row(&t, is_3x3, positions, tap, out);
        thm_mve_clamp(out, 0, 1, positions * p->in_c, thm_mve_act_min(p->act_min),
                      thm_mve_act_max(p->act_max));
        if (is_column) {
            return;
        }
    }
}

#endif
