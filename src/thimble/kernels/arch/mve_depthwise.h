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
    int32_t is_fast, taps;       /* 3 x 3 over copied rows, every shift below 0 */
    int32_t step, block_step;    /* bytes from vector to vector of positions, from block to block */
    int32_t y_step;
    int32_t channels, together;  /* `together` positions are one vector */
    int32_t output_offset, act_min, act_max;
} thm_mve_depthwise;

/* Four sums, in the order of the lanes of a block: even of even, even of odd, odd of even, odd of odd. */
typedef struct {
    int32x4_t a, b, c, d;
} thm_mve_sums4;

THM_INLINE thm_mve_sums4 thm_mve_add_taps(thm_mve_sums4 acc, int16x8_t even, int16x8_t odd)
{
    acc.a = vaddq_s32(acc.a, vmovlbq_s16(even));
    acc.b = vaddq_s32(acc.b, vmovlbq_s16(odd));
    acc.c = vaddq_s32(acc.c, vmovltq_s16(even));
    acc.d = vaddq_s32(acc.d, vmovltq_s16(odd));
    return acc;
}

THM_INLINE thm_mve_sums4 thm_mve_add_pair(thm_mve_sums4 acc, int8x16_t x0, int8x16_t w0,
                                          int8x16_t x1, int8x16_t w1)
{
    return thm_mve_add_taps(acc, vaddq_s16(vmullbq_int_s8(x0, w0), vmullbq_int_s8(x1, w1)),
                            vaddq_s16(vmulltq_int_s8(x0, w0), vmulltq_int_s8(x1, w1)));
}

THM_INLINE thm_mve_sums4 thm_mve_add_single(thm_mve_sums4 acc, int8x16_t x, int8x16_t w)
{
    return thm_mve_add_taps(acc, vmullbq_int_s8(x, w), vmulltq_int_s8(x, w));
}

THM_INLINE thm_mve_sums4 thm_mve_bias(const int32_t *bias)
{
    const thm_mve_sums4 acc = {vldrwq_s32(bias), vldrwq_s32(bias + 4), vldrwq_s32(bias + 8),
                               vldrwq_s32(bias + 12)};
    return acc;
}

/* round(acc * multiplier * 2^(shift - 31)), no shift above 0. */
THM_INLINE int32x4_t thm_mve_requantize_lanes(int32x4_t acc, const int32_t *multiplier,
                                              const int8_t *shift)
{
    const int32x4_t s = vldrbq_s32(shift);
    const int32x4_t product = vqrdmulhq_s32(acc, vldrwq_s32(multiplier));
    return vrshlq_s32(vaddq_s32(product, vshrq_n_s32(vandq_s32(product, s), 31)), s);
}

THM_INLINE void thm_mve_store_lanes(const thm_mve_depthwise *t, thm_mve_sums4 acc,
                                    mve_pred16_t lanes, int8_t *y)
{
    const int32_t *m = t->record + 16;
    const int8_t *s = (const int8_t *)(t->record + 32);
    const int32x4_t a = thm_mve_requantize_lanes(acc.a, m, s);
    const int32x4_t c = thm_mve_requantize_lanes(acc.c, m + 8, s + 8);
    int16x8_t even = vqmovntq_s32(vqmovnbq_s32(vreinterpretq_s16_s32(a), a), c);
    const int32x4_t b = thm_mve_requantize_lanes(acc.b, m + 4, s + 4);
    const int32x4_t d = thm_mve_requantize_lanes(acc.d, m + 12, s + 12);
    int16x8_t odd = vqmovntq_s32(vqmovnbq_s32(vreinterpretq_s16_s32(b), b), d);
    even = vqaddq_n_s16(even, (int16_t)t->output_offset);
    odd = vqaddq_n_s16(odd, (int16_t)t->output_offset);
    const int8x16_t out = vqmovntq_s16(vqmovnbq_s16(vreinterpretq_s8_s16(even), even), odd);
    vstrbq_p_s8(y, out, lanes);
}

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
/* Two vectors of sums times their multipliers and shifts, all shifts below 0. */
#define THM_MVE_DOWN(a, b, m, n, s, t)    \
    "vldrw.32 q4, [r4, #" m "]\n\t"     \
    "vldrw.32 q5, [r4, #" n "]\n\t"     \
    "vqrdmulh.s32 " a ", " a ", q4\n\t"   \
    "vqrdmulh.s32 " b ", " b ", q5\n\t"   \
    "vshr.s32 q4, " a ", #31\n\t"         \
    "vshr.s32 q5, " b ", #31\n\t"         \
    "vldrb.s32 q6, [r4, #" s "]\n\t"    \
    "vadd.i32 " a ", " a ", q4\n\t"       \
    "vldrb.s32 q7, [r4, #" t "]\n\t"    \
    "vadd.i32 " b ", " b ", q5\n\t"       \
    "vrshl.s32 " a ", " a ", q6\n\t"      \
    "vrshl.s32 " b ", " b ", q7\n\t"

/* n >= 1 vectors of a 3 x 3 filter for every block, `lanes` channels in all. */
THM_INLINE void thm_mve_depthwise_3x3(const thm_mve_depthwise *t, const int8_t *const *x,
                                      int32_t offset, int32_t n, int32_t lanes, int8_t *y)
{
    const int32_t again[3] = {n, t->block_step - n * t->step, 16 - n * t->y_step};
    register const int8_t *r0 __asm__("r0") = x[0] + offset;
    register const int8_t *r1 __asm__("r1") = x[3] + offset;
    register const int8_t *r2 __asm__("r2") = x[6] + offset;
    register const int8_t *r3 __asm__("r3") = t->w + 64; /* offsets of loads lie in [-127, 127] */
    register const int32_t *r4 __asm__("r4") = t->record + 16;
    register int8_t *r5 __asm__("r5") = y;
    register int32_t r6 __asm__("r6") = lanes;
    register int32_t r8 __asm__("r8") = t->step;
    register int32_t r9 __asm__("r9") = t->y_step;
    register int32_t r10 __asm__("r10") = t->output_offset;
    register const int32_t *r12 __asm__("r12") = again;
    __asm__ volatile(
        "1:\n\t"
        "vctp.8 r6\n\t"
        "ldr lr, [r12]\n\t"
        "dls lr, lr\n"
        "2:\n\t"
        THM_MVE_TAP("[r0]", "[r3, #-64]")
        "vldrw.32 q0, [r4, #-64]\n\t"
        "vldrw.32 q1, [r4, #-48]\n\t"
        "vldrw.32 q2, [r4, #-32]\n\t"
        "vldrw.32 q3, [r4, #-16]\n\t"
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
        THM_MVE_DOWN("q0", "q2", "0", "32", "64", "72")
        THM_MVE_DOWN("q1", "q3", "16", "48", "68", "76")
        "vqmovnb.s32 q0, q0\n\t"
        "vqmovnb.s32 q1, q1\n\t"
        "vqmovnt.s32 q0, q2\n\t"
        "vqmovnt.s32 q1, q3\n\t"
        "vqadd.s16 q0, q0, r10\n\t"
        "vqadd.s16 q1, q1, r10\n\t"
        "vqmovnb.s16 q0, q0\n\t"
        "vqmovnt.s16 q0, q1\n\t"
        "vpst\n\t"
        "vstrbt.8 q0, [r5]\n\t"
        "add r5, r5, r9\n\t"
        "le lr, 2b\n\t"
        "ldr lr, [r12, #4]\n\t"
        "add r3, r3, #144\n\t"
        "add r0, r0, lr\n\t"
        "add r1, r1, lr\n\t"
        "add r2, r2, lr\n\t"
        "ldr lr, [r12, #8]\n\t"
        "add r4, r4, #144\n\t"
        "subs r6, r6, #16\n\t"
        "add r5, r5, lr\n\t"
        "bgt 1b\n\t"
        : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6)
        : "r"(r8), "r"(r9), "r"(r10), "r"(r12)
        : "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "cc", "memory");
}

/* n vectors of any filter and one block: tap k of the first is at x[k] + offset. */
THM_INLINE void thm_mve_depthwise_any(const thm_mve_depthwise *t, const int8_t *const *x,
                                      int32_t offset, int32_t n, int32_t channels, int8_t *y)
{
    const mve_pred16_t lanes = vctp8q((uint32_t)channels);
    for (; n > 0; n--) {
        thm_mve_sums4 acc = thm_mve_bias(t->record);
        const int8_t *w = t->w;
        const int8_t *const *tap = x;
        for (int32_t k = t->taps / 2; k > 0; k--) {
            acc = thm_mve_add_pair(acc, vldrbq_z_s8(tap[0] + offset, lanes), vldrbq_s8(w),
                                   vldrbq_z_s8(tap[1] + offset, lanes), vldrbq_s8(w + 16));
            tap += 2;
            w += 32;
        }
        if (t->taps % 2) {
            acc = thm_mve_add_single(acc, vldrbq_z_s8(tap[0] + offset, lanes), vldrbq_s8(w));
        }
        thm_mve_store_lanes(t, acc, lanes, y);
        offset += t->step;
        y += t->y_step;
    }
}

/* n vectors, `lanes` channels in all: tap k of the first is at x[k]. */
THM_INLINE void thm_mve_depthwise_blocks(thm_mve_depthwise t, int32_t n, int32_t lanes,
                                         const int8_t *const *x, int32_t offset, int8_t *y)
{
    if (t.is_fast) {
        thm_mve_depthwise_3x3(&t, x, offset, n, lanes, y);
        return;
    }
    for (; lanes > 0; lanes -= 16) {
        thm_mve_depthwise_any(&t, x, offset, n, lanes, y);
        t.w += 16 * t.taps;
        t.record += THM_BLOCK_WORDS;
        offset += t.block_step;
        y += 16;
    }
}

/* A row of n positions. */
__attribute__((noinline, unused)) static void thm_mve_depthwise_row(const thm_mve_depthwise *t,
                                                                    int32_t n,
                                                                    const int8_t *const *x, int8_t *y)
{
    int32_t count = n / t->together, lanes = t->together * t->channels, offset = 0;
    int8_t *to = y;
    for (int32_t i = 0; i < 2; i++) { /* whole vectors, then what is left */
        if (count > 0) {
            thm_mve_depthwise_blocks(*t, count, lanes, x, offset, to);
        }
        offset += count * t->step;
        to += count * t->y_step;
        count = 1;
        lanes = n % t->together * t->channels;
        if (lanes == 0) {
            break;
        }
    }
    thm_mve_clamp(y, 0, 1, n * t->channels, t->act_min, t->act_max);
}

/* Whether every shift is below 0. */
THM_INLINE int32_t thm_mve_is_down(const int32_t *record, int32_t channels)
{
    int8_t largest = -128;
    for (; channels > 0; channels -= 16, record += THM_BLOCK_WORDS) {
        largest = vmaxvq_s8(largest, vldrbq_s8((const int8_t *)(record + 32)));
    }
    return largest < 0;
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
        if (bytes >= 16) {
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
    const thm_mve_depthwise t = {
        .w = w,
        .record = records,
        .is_fast = p->copies && p->filter_h == 3 && p->filter_w == 3 && p->dilation_w == 1 &&
                   thm_mve_is_down(records, p->in_c),
        .taps = taps,
        .step = is_column ? p->stride_h * p->in_w * p->in_c
                          : together * p->stride_w * column_step,
        .block_step = p->copies ? 16 * p->columns : 16,
        .channels = p->in_c,
        .together = together,
        .output_offset = p->output_offset,
        .act_min = p->act_min,
        .act_max = p->act_max,
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
        thm_mve_depthwise_row(&t, is_column ? y_count : p->out_w, tap, out);
        if (is_column) {
            return;
        }
    }
}

#endif
