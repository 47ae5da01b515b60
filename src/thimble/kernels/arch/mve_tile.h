/* Tiles on Helium: pairs of positions by the assembly of mve_pairs.h, single ones by VMLADAVA on four
 * outputs, with lanes beyond the end of the products switched off by a tail-predicated loop.
 */
#ifndef THM_ARCH_MVE_TILE_H
#define THM_ARCH_MVE_TILE_H

#include <arm_mve.h>

#include "mve_pairs.h"
#include "tile.h"

/* What a model has alike in all calls folds into the functions that are not inlined (thm.h). */
THM_INLINE int32_t thm_mve_segments(int32_t segments)
{
#if defined(THM_ALL_segments) && THM_ALL_segments == 1 /* as kernels without the word have */
    (void)segments;
    return THM_ALL_segments;
#else
    return segments;
#endif
}

THM_INLINE int32_t thm_mve_per_channel(int32_t per_channel)
{
#ifdef THM_ALL_per_channel
    (void)per_channel;
    return THM_ALL_per_channel;
#else
    return per_channel;
#endif
}

THM_INLINE int32_t thm_mve_act_min(int32_t act_min)
{
#ifdef THM_ALL_act_min
    (void)act_min;
    return THM_ALL_act_min;
#else
    return act_min;
#endif
}

THM_INLINE int32_t thm_mve_act_max(int32_t act_max)
{
#ifdef THM_ALL_act_max
    (void)act_max;
    return THM_ALL_act_max;
#else
    return act_max;
#endif
}

/* round(acc * multiplier * 2^(shift - 31)) in four lanes, bit for bit thm_requantize. */
THM_INLINE int32x4_t thm_requantize_mve(int32x4_t acc, int32x4_t multiplier, int32x4_t shift)
{
    const int32x4_t right = vminq_s32(shift, vdupq_n_s32(0));
    const int32x4_t left = vmaxq_s32(shift, vdupq_n_s32(0));
    const int32x4_t product = vqrdmulhq_s32(vshlq_s32(acc, left), multiplier);
    /* VRSHL rounds halves up, TFLite away from zero: one less where negative and shifted right. */
    const int32x4_t fixup = vshrq_n_s32(vandq_s32(product, right), 31);
    return vrshlq_s32(vaddq_s32(product, fixup), right);
}

/* n runs of `count` bytes, y_step apart, are clamped. */
__attribute__((noinline, unused)) static void
thm_mve_clamp_runs(int8_t *y, int32_t y_step, int32_t n, int32_t count, int32_t low, int32_t high)
{
    for (; n > 0; n--, y += y_step) {
        for (int32_t i = 0; i < count; i += 16) {
            const mve_pred16_t lanes = vctp8q((uint32_t)(count - i));
            const int8x16_t q = vmaxq_s8(vldrbq_z_s8(y + i, lanes), vdupq_n_s8((int8_t)low));
            vstrbq_p_s8(y + i, vminq_s8(q, vdupq_n_s8((int8_t)high)), lanes);
        }
    }
}

/* Where position i begins. */
THM_INLINE const int8_t *thm_mve_position(const thm_tile *t, int32_t i)
{
    const int8_t *x = t->x + i * t->x_step + (t->row > 0 ? i / t->row * t->row_gap : 0);
    return t->x_wrap != 0 && x >= t->x_end ? x - t->x_wrap : x;
}

THM_INLINE void thm_mve_clamp(int8_t *y, int32_t y_step, int32_t n, int32_t count, int32_t low,
                              int32_t high)
{
    if (low > -128 || high < 127) {
        thm_mve_clamp_runs(y, y_step, n, count, low, high);
    }
}

/* Four outputs at one position; any segments. */
THM_INLINE int32x4_t thm_mve_sums(const thm_tile *t, const int8_t *x, const int8_t *w)
{
    register int32_t r0 __asm__("r0") = 0;
    register int32_t r2 __asm__("r2") = 0;
    register int32_t r4 __asm__("r4") = 0;
    register int32_t r6 __asm__("r6") = 0;
    for (int32_t s = thm_mve_segments(t->segments); s > 0; s--) {
        register const int8_t *r1 __asm__("r1") = w;
        register const int8_t *r3 __asm__("r3") = x;
        __asm__ volatile("dlstp.8 lr, %[length]\n"
                         "1:\n\t"
                         "vldrb.8 q0, [r3], #16\n\t"
                         "vldrb.8 q1, [r1], #64\n\t"
                         "vmladava.s8 r0, q0, q1\n\t"
                         "vldrb.8 q1, [r1, #-48]\n\t"
                         "vmladava.s8 r2, q0, q1\n\t"
                         "vldrb.8 q1, [r1, #-32]\n\t"
                         "vmladava.s8 r4, q0, q1\n\t"
                         "vldrb.8 q1, [r1, #-16]\n\t"
                         "vmladava.s8 r6, q0, q1\n\t"
                         "letp lr, 1b\n\t"
                         : "+r"(r0), "+r"(r2), "+r"(r4), "+r"(r6), "+r"(r1), "+r"(r3)
                         : [length] "r"(t->length)
                         : "lr", "q0", "q1", "cc", "memory");
        w = r1;
        x = thm_mve_segments(t->segments) > 1 ? thm_tile_next(t, x) : x;
    }
    const int32x4_t sums = {r0, r2, r4, r6};
    return sums;
}

/* What a block of four outputs is requantized with, and how far it is to the next block's. */
typedef struct {
    const int32_t *bias, *multiplier;
    const int8_t *shift;
    int32_t multiplier_step, shift_step;
} thm_mve_constants;

/* All whole blocks of outputs at one position of one segment, no shift above 0. */
THM_INLINE void thm_mve_column(const thm_tile *t, thm_mve_constants c, const int8_t *x, int8_t *y)
{
    register const int8_t *w __asm__("r1") = t->w;
    register int8_t *to __asm__("r5") = y;
    register const int8_t *from __asm__("r8") = x;
    register int32_t length __asm__("r9") = t->length;
    register int32_t offset __asm__("r10") = t->output_offset;
    register thm_mve_constants *r11 __asm__("r11") = &c;
    register int32_t left __asm__("r12") = t->outputs / 4;
    register int32x4_t low __asm__("q5") = vdupq_n_s32(thm_mve_act_min(t->act_min));
    register int32x4_t high __asm__("q6") = vdupq_n_s32(thm_mve_act_max(t->act_max));
    __asm__ volatile("1:\n\t"
                     "mov r0, #0\n\t"
                     "mov r2, #0\n\t"
                     "mov r4, #0\n\t"
                     "mov r6, #0\n\t"
                     "mov r3, r8\n\t"
                     "dlstp.8 lr, r9\n"
                     "2:\n\t"
                     "vldrb.8 q0, [r3], #16\n\t"
                     "vldrb.8 q1, [r1], #64\n\t"
                     "vmladava.s8 r0, q0, q1\n\t"
                     "vldrb.8 q1, [r1, #-48]\n\t"
                     "vmladava.s8 r2, q0, q1\n\t"
                     "vldrb.8 q1, [r1, #-32]\n\t"
                     "vmladava.s8 r4, q0, q1\n\t"
                     "vldrb.8 q1, [r1, #-16]\n\t"
                     "vmladava.s8 r6, q0, q1\n\t"
                     "letp lr, 2b\n\t"
                     "ldr r3, [r11, #8]\n\t"
                     "vmov q0[2], q0[0], r0, r4\n\t"
                     "vldrb.s32 q4, [r3]\n\t"
                     "vmov q0[3], q0[1], r2, r6\n\t"
                     "ldm r11, {r0, r2, r3, r4, r6}\n\t"
                     "vldrw.32 q1, [r0], #16\n\t"
                     "vldrw.32 q3, [r2]\n\t"
                     "vadd.i32 q0, q0, q1\n\t"
                     "add r2, r2, r4\n\t"
                     "vqrdmulh.s32 q0, q0, q3\n\t"
                     "add r3, r3, r6\n\t"
                     "vand q1, q0, q4\n\t" /* the sign where shifted right, else that of 0 */
                     "stm r11, {r0, r2, r3}\n\t"
                     "vshr.s32 q1, q1, #31\n\t"
                     "subs r12, r12, #1\n\t"
                     "vadd.i32 q0, q0, q1\n\t"
                     "vrshl.s32 q0, q0, q4\n\t"
                     "vadd.i32 q0, q0, r10\n\t"
                     "vmax.s32 q0, q0, q5\n\t"
                     "vmin.s32 q0, q0, q6\n\t"
                     "vstrb.32 q0, [r5], #4\n\t"
                     "bne 1b\n\t"
                     : "+r"(w), "+r"(to), "+r"(left)
                     : "r"(from), "r"(length), "r"(offset), "r"(r11), "w"(low), "w"(high)
                     : "r0", "r2", "r3", "r4", "r6", "lr", "q0", "q1", "q3", "q4", "cc", "memory");
}

/* Outputs [first, outputs) of n positions, whatever the segments and the shifts. */
__attribute__((noinline, unused)) static void thm_mve_rest(const thm_tile *t, int32_t first,
                                                           int32_t n)
{
    const int32_t w_step = thm_mve_segments(t->segments) * ((t->length + 15) / 16) * 64;
    for (int32_t o = first; o < t->outputs; o += 4) {
        const mve_pred16_t lanes = vctp32q((uint32_t)(t->outputs - o));
        const int32x4_t bias = vldrwq_z_s32(t->bias + o, lanes);
        int32x4_t multiplier = vdupq_n_s32(t->multiplier[0]), shift = vdupq_n_s32(t->shift[0]);
        if (thm_mve_per_channel(t->per_channel)) {
            multiplier = vldrwq_z_s32(t->multiplier + o, lanes);
            shift = vldrbq_z_s32(t->shift + o, lanes);
        }
        for (int32_t i = 0; i < n; i++) {
            int32x4_t q = thm_mve_sums(t, thm_mve_position(t, i), t->w + o / 4 * w_step);
            q = thm_requantize_mve(vaddq_s32(q, bias), multiplier, shift);
            q = vaddq_n_s32(q, t->output_offset);
            q = vmaxq_s32(q, vdupq_n_s32(thm_mve_act_min(t->act_min)));
            q = vminq_s32(q, vdupq_n_s32(thm_mve_act_max(t->act_max)));
            vstrbq_p_s32(t->y + i * t->y_step + o, q, lanes);
        }
    }
}

/* How the products of a pair are cut into runs, and by what they are summed. */
typedef struct {
    int32_t runs, bytes;         /* entries of the table for a pair, products of each */
    int32_t rounds;              /* 0: all at once */
    void (*pairs)(void);
} thm_mve_cut;

THM_INLINE thm_mve_cut thm_mve_cut_of(const thm_tile *t)
{
    const int32_t is_one = thm_mve_segments(t->segments) == 1, chunks = (t->length + 15) / 16;
    const int32_t is_whole = t->length % 16 == 0;
    if (THM_MVE_UNROLLS && is_one && thm_mve_act_min(t->act_min) >= t->output_offset) {
        if (chunks == 1 || (is_whole && (chunks == 2 || chunks == 4))) {
            const thm_mve_cut at_once = {1, t->length, 0,
                                         chunks == 1   ? thm_mve_part
                                         : chunks == 2 ? thm_mve_two
                                                       : thm_mve_four};
            return at_once;
        }
    }
    if (THM_MVE_UNROLLS && is_one && is_whole && (chunks % 4 == 0 || chunks % 3 == 0)) {
        const thm_mve_cut some = {1, t->length, chunks % 4 == 0 ? chunks / 4 : chunks / 3,
                                  chunks % 4 == 0 ? thm_mve_by_four : thm_mve_by_three};
        return some;
    }
    if (is_one || !THM_MVE_UNROLLS) {
        const thm_mve_cut any = {1, t->length, chunks, thm_mve_any};
        return any;
    }
    const int32_t count = thm_mve_segments(t->segments) * chunks;
    const thm_mve_cut runs = {count, 16, count, thm_mve_runs};
    return runs;
}

/* The table of `pairs` pairs from position `first` of n on; the last two positions are the last pair. */
__attribute__((noinline, unused)) static const int8_t **
thm_mve_fill(thm_mve_pairs *p, const thm_tile *t, thm_mve_cut cut, int32_t first, int32_t pairs,
             int32_t n)
{
    const int32_t runs = THM_MVE_UNROLLS && thm_mve_segments(t->segments) > 1 ? cut.runs : 1;
    const int8_t **const start = p->table + THM_MVE_TABLE - pairs * (2 * runs + 1);
    const int8_t **to = start;
    if (runs == 1 && t->row == 0 && t->x_wrap == 0) {
        const int8_t *x = t->x + first * t->x_step, *other = x + t->x_step;
        int8_t *y = t->y + first * t->y_step;
        __asm__ volatile("dls lr, %[pairs]\n"
                         "1:\n\t"
                         "strd %[x], %[other], [%[to]], #8\n\t"
                         "add %[x], %[x], %[step]\n\t"
                         "str %[y], [%[to]], #4\n\t"
                         "add %[other], %[other], %[step]\n\t"
                         "add %[y], %[y], %[y_step]\n\t"
                         "le lr, 1b\n"
                         : [x] "+r"(x), [other] "+r"(other), [y] "+r"(y), [to] "+r"(to)
                         : [pairs] "r"(pairs), [step] "r"(2 * t->x_step),
                           [y_step] "r"(2 * t->y_step)
                         : "lr", "memory");
        if (first + 2 * pairs > n) {
            to[-3] -= t->x_step;
            to[-2] -= t->x_step;
            to[-1] -= t->y_step;
        }
        return start;
    }
    for (int32_t i = first; to < p->table + THM_MVE_TABLE; i += 2) {
        const int32_t at = thm_min(i, n - 2);
        const int8_t *segment = thm_mve_position(t, at);
        const int32_t distance = (int32_t)(thm_mve_position(t, at + 1) - segment);
        for (int32_t s = THM_MVE_UNROLLS ? thm_mve_segments(t->segments) : 1; s > 0; s--) {
            for (int32_t k = 0; k < t->length; k += cut.bytes) {
                to[0] = segment + k;
                to[1] = segment + k + distance;
                to += 2;
            }
            segment = thm_tile_next(t, segment);
        }
        *to++ = t->y + at * t->y_step;
    }
    return start;
}

/* All whole blocks of outputs of n >= 2 positions, no shift above 0. */
THM_INLINE void thm_mve_pairs_s8(const thm_tile *t, const thm_mve_constants *c, thm_mve_cut cut,
                                 int32_t n)
{
    const int32_t chunks = (t->length + 15) / 16;
    const int32_t room = THM_MVE_TABLE / (2 * cut.runs + 1);
    const uint16x8_t lane = vidupq_n_u16(0, 1);
    const uint16x8_t places = vmlaq_n_u16(vshrq_n_u16(lane, 1), vandq_u16(lane, vdupq_n_u16(1)),
                                          (uint16_t)t->y_step);
    thm_mve_pairs p;
    p.multiplier_step = c->multiplier_step;
    p.shift_step = c->shift_step;
    p.w_step = thm_mve_segments(t->segments) * chunks * 64;
    p.part = t->length - 16 * (chunks - 1);
    p.rounds = 2 * cut.rounds - (thm_mve_act_min(t->act_min) >= t->output_offset);
    if (cut.rounds == 0) {
        p.rounds = (int32_t)(intptr_t)&p.sums_0;
    }
    p.pairs = cut.pairs;
    for (int32_t first = 0; first < n;) {
        const int32_t pairs = thm_min((n - first + 1) / 2, room);
        p.start = thm_mve_fill(&p, t, cut, first, pairs, n);
        first += 2 * pairs;
        p.w = t->w;
        p.bias = c->bias;
        p.multiplier = c->multiplier;
        p.shift = c->shift;
        p.blocks = t->outputs / 4;
        thm_mve_blocks(&p, t->output_offset, places);
    }
    thm_mve_clamp(t->y, t->y_step, n, t->outputs, thm_mve_act_min(t->act_min), thm_mve_act_max(t->act_max));
}

/* The largest of all shifts. */
THM_INLINE int32_t thm_mve_largest_shift(const thm_tile *t)
{
    int32_t largest = t->shift[0];
    for (int32_t o = t->outputs; o > 0 && thm_mve_per_channel(t->per_channel); o -= 16) {
        const mve_pred16_t lanes = vctp8q((uint32_t)o);
        largest = vmaxvq_p_s8((int8_t)largest, vldrbq_z_s8(t->shift + t->outputs - o, lanes), lanes);
    }
    return largest;
}

/* All outputs of n positions. */
__attribute__((noinline, unused)) static void thm_tile_mve(const thm_tile *t, int32_t n)
{
    int32_t done = 0; /* outputs of all positions */
    if (t->outputs >= 4 && thm_mve_largest_shift(t) <= 0) {
        const int32_t multipliers[4] = {t->multiplier[0], t->multiplier[0], t->multiplier[0],
                                        t->multiplier[0]};
        const int8_t shifts[4] = {t->shift[0], t->shift[0], t->shift[0], t->shift[0]};
        const thm_mve_constants c = {
            .bias = t->bias,
            .multiplier = thm_mve_per_channel(t->per_channel) ? t->multiplier : multipliers,
            .shift = thm_mve_per_channel(t->per_channel) ? t->shift : shifts,
            .multiplier_step = thm_mve_per_channel(t->per_channel) ? 16 : 0,
            .shift_step = thm_mve_per_channel(t->per_channel) ? 4 : 0,
        };
        const thm_mve_cut cut = thm_mve_cut_of(t);
        const int32_t is_pair = n >= 2 && 2 * cut.runs + 1 <= THM_MVE_TABLE &&
                                (THM_MVE_UNROLLS || thm_mve_segments(t->segments) == 1) &&
                                t->y_step < 1 << 15 && t->outputs < 1 << 15;
        if (is_pair) {
            thm_mve_pairs_s8(t, &c, cut, n);
        } else if (THM_MVE_UNROLLS && thm_mve_segments(t->segments) == 1) {
            for (int32_t i = 0; i < n; i++) {
                thm_mve_column(t, c, thm_mve_position(t, i), t->y + i * t->y_step);
            }
        } else {
            thm_mve_rest(t, 0, n);
        }
        done = t->outputs & ~3;
    }
    if (done < t->outputs) {
        thm_mve_rest(t, done, n);
    }
}

THM_INLINE void thm_tile_s8(const thm_tile t, int32_t n)
{
    if (t.oc_block != 4 || t.k_block != 16) {
        thm_tile_any_s8(t, n);
    } else {
        thm_tile_mve(&t, n);
    }
}

#endif
