/* Tiles for x86-64 with AVX-512 and its byte products (VNNI): sixteen int32 sums a register.
 *
 * VPDPBUSD adds four products of unsigned x with signed weights to each sum. x is made unsigned by
 * flipping its sign bit, that is by adding 128: x_offset is 128, lanes 16, k_block 4. The last products of
 * a run may be fewer than four; then bytes beyond it are read, and multiplied by zero.
 */
#ifndef THM_ARCH_AVX512_H
#define THM_ARCH_AVX512_H

#include <immintrin.h>

#include "lanes.h"

/* The low `count` lanes, all where it is above 63. */
THM_INLINE __mmask64 thm_low_lanes(int32_t count)
{
    return count > 63 ? ~(__mmask64)0 : ((__mmask64)1 << count) - 1u;
}

/* sum += products of four unsigned bytes of x with four signed ones of w, in each lane. In assembly because
 * gcc 12 copies and spills the sums of the intrinsic: half the speed. clang spills those of the assembly. */
THM_INLINE void thm_dpbusd(__m512i *sum, __m512i x, __m512i w)
{
#if defined(__clang__)
    *sum = _mm512_dpbusd_epi32(*sum, x, w);
#else
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(x), "vm"(w));
#endif
}

/* Multipliers and shifts of sixteen sums, as thm_requantize_avx512 takes them. */
typedef struct {
    __m512i multiplier, multiplier_odd;
    __m512i left;                /* max(shift, 0) */
    __m512i right;               /* max(-shift, 1) - 1 */
    __mmask16 is_rounded;        /* shift < 0: there is a second rounding */
} thm_scales_avx512;

/* multiplier >= 0, shift in [-31, 31] */
THM_INLINE void thm_scales_load(thm_scales_avx512 *s, const int32_t *multiplier, const int32_t *shift)
{
    const __m512i zero = _mm512_setzero_si512(), one = _mm512_set1_epi32(1);
    const __m512i by = _mm512_loadu_si512(shift);
    s->multiplier = _mm512_loadu_si512(multiplier);
    s->multiplier_odd = _mm512_srli_epi64(s->multiplier, 32);
    s->left = _mm512_max_epi32(by, zero);
    s->right = _mm512_sub_epi32(_mm512_max_epi32(_mm512_sub_epi32(zero, by), one), one);
    s->is_rounded = _mm512_cmplt_epi32_mask(by, zero);
}

/* thm_requantize in sixteen lanes. is_down: every shift is below zero, so that all are rounded twice. */
THM_INLINE __m512i thm_requantize_avx512(__m512i acc, const thm_scales_avx512 *s, int32_t is_down)
{
    const __m512i half = _mm512_set1_epi64((int64_t)1 << 30);
    if (!is_down) {
        acc = _mm512_sllv_epi32(acc, s->left);
    }
    __m512i even = _mm512_mul_epi32(acc, s->multiplier);
    __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(acc, 32), s->multiplier_odd);
    even = _mm512_srli_epi64(_mm512_add_epi64(even, half), 31);
    odd = _mm512_slli_epi64(_mm512_add_epi64(odd, half), 1);
    const __m512i product = _mm512_mask_mov_epi32(even, 0xAAAA, odd);
    /* As thm_requantize_down: halves away from zero are one less for negatives, then halves up. */
    __m512i q = _mm512_add_epi32(product, _mm512_srai_epi32(product, 31));
    q = _mm512_add_epi32(_mm512_srav_epi32(q, s->right), _mm512_set1_epi32(1));
    q = _mm512_srai_epi32(q, 1);
    return is_down ? q : _mm512_mask_mov_epi32(product, s->is_rounded, q);
}

/* What 64 outputs share with all positions. */
typedef struct {
    thm_scales_avx512 scales[4];
    __m512i bias[4];
    int32_t is_down;
    __m512i output_offset;       /* int16 lanes */
    __m512i act_min, act_max;    /* int8 lanes */
} thm_outputs_avx512;

THM_INLINE void thm_outputs_start(thm_outputs_avx512 *u, int32_t output_offset, int32_t act_min,
                                  int32_t act_max)
{
    u->output_offset = _mm512_set1_epi16((int16_t)output_offset);
    u->act_min = _mm512_set1_epi8((int8_t)act_min);
    u->act_max = _mm512_set1_epi8((int8_t)act_max);
}

/* Records of `lanes` outputs a part: biases, multipliers, shifts; sixteen from each block. */
THM_INLINE void thm_outputs_load(thm_outputs_avx512 *u, const int32_t *records, int32_t blocks,
                                 int32_t step, int32_t lanes)
{
    u->is_down = 1;
    THM_UNROLL
    for (int32_t b = 0; b < blocks; b++) {
        const int32_t *r = records + b * step;
        u->bias[b] = _mm512_loadu_si512(r);
        thm_scales_load(&u->scales[b], r + lanes, r + 2 * lanes);
        u->is_down &= u->scales[b].is_rounded == 0xFFFF;
    }
}

/* Requantizes sums[i], which has the scales of block i % blocks. */
THM_INLINE void thm_outputs_scale(const thm_outputs_avx512 *u, __m512i *sums, int32_t count,
                                  int32_t blocks)
{
    if (u->is_down) {
        THM_UNROLL
        for (int32_t i = 0; i < count; i++) {
            sums[i] = thm_requantize_avx512(sums[i], &u->scales[i % blocks], 1);
        }
    } else {
        THM_UNROLL
        for (int32_t i = 0; i < count; i++) {
            sums[i] = thm_requantize_avx512(sums[i], &u->scales[i % blocks], 0);
        }
    }
}

/* Four requantized vectors -> 64 outputs, with offset and clamped. Saturating to int16 and int8 on the way
 * changes nothing, as offset and bounds are int8. 128-bit lane l holds elements 4 * l to 4 * l + 3 of each
 * of the four. */
THM_INLINE __m512i thm_outputs_narrow(const thm_outputs_avx512 *u, __m512i a, __m512i b, __m512i c,
                                      __m512i d)
{
    const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(a, b), u->output_offset);
    const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(c, d), u->output_offset);
    const __m512i y = _mm512_packs_epi16(low, high);
    return _mm512_min_epi8(_mm512_max_epi8(y, u->act_min), u->act_max);
}

/* sums[position][block] += the products of four bytes of x at each position with weights at w. */
THM_INLINE void thm_chunk_avx512(__m512i *sums, int32_t blocks, int32_t positions, const int32_t *x,
                                 const int8_t *w, int32_t w_step)
{
    const __m512i flip = _mm512_set1_epi8(-128);
    __m512i weights[4];
    THM_UNROLL
    for (int32_t b = 0; b < blocks; b++) {
        weights[b] = _mm512_loadu_si512(w + b * w_step);
    }
    THM_UNROLL
    for (int32_t i = 0; i < positions; i++) {
        const __m512i v = _mm512_xor_si512(_mm512_set1_epi32(x[i]), flip);
        THM_UNROLL
        for (int32_t b = 0; b < blocks; b++) {
            thm_dpbusd(&sums[i * blocks + b], v, weights[b]);
        }
    }
}

THM_INLINE void thm_store_avx512(int8_t *y, int32_t y_step, __m512i q, int32_t blocks,
                                 int32_t positions, __mmask64 lanes)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    q = _mm512_permutexvar_epi32(order, q);
    if (blocks == 4) {
        _mm512_mask_storeu_epi8(y, lanes, q);
    } else if (blocks == 2) {
        _mm256_mask_storeu_epi8(y, (__mmask32)lanes, _mm512_castsi512_si256(q));
        if (positions > 1) {
            _mm256_mask_storeu_epi8(y + y_step, (__mmask32)lanes, _mm512_extracti64x4_epi64(q, 1));
        }
    } else {
        const __mmask16 few = (__mmask16)lanes;
        _mm_mask_storeu_epi8(y, few, _mm512_castsi512_si128(q));
        if (positions > 1) {
            _mm_mask_storeu_epi8(y + y_step, few, _mm512_extracti32x4_epi32(q, 1));
        }
        if (positions > 2) {
            _mm_mask_storeu_epi8(y + 2 * y_step, few, _mm512_extracti32x4_epi32(q, 2));
            _mm_mask_storeu_epi8(y + 3 * y_step, few, _mm512_extracti32x4_epi32(q, 3));
        }
    }
}

/* 16 * blocks outputs at `positions` positions from x on; at most 24 sums. */
THM_INLINE void thm_block_avx512(const thm_lanes_tile *t, const thm_outputs_avx512 *u, int32_t blocks,
                                 int32_t positions, const int8_t *w, const int8_t *x, int8_t *y,
                                 __mmask64 lanes)
{
    const int32_t chunks = (t->length + 3) / 4, x_step = t->x_step;
    const int32_t w_step = t->rows * t->runs * chunks * 64;
    const int32_t count = positions * blocks, each = 4 / blocks;
    __m512i sums[24];
    THM_UNROLL
    for (int32_t i = 0; i < count; i++) {
        sums[i] = u->bias[i % blocks];
    }
    for (int32_t row = t->rows; row > 0; row--) {
        const int8_t *run = x;
        for (int32_t left = t->runs; left > 0; left--) {
            const int8_t *from = run;
            int32_t four[8];
            for (int32_t k = chunks; k > 0; k--) {
                THM_UNROLL
                for (int32_t i = 0; i < positions; i++) {
                    memcpy(&four[i], from + i * x_step, 4);
                }
                thm_chunk_avx512(sums, blocks, positions, four, w, w_step);
                from += 4;
                w += 64;
            }
            run += t->run_step;
        }
        x = thm_lanes_next_row(t, x);
    }
    thm_outputs_scale(u, sums, count, blocks);
    THM_UNROLL
    for (int32_t i = 0; i < count; i += 4) {
        const int32_t last = count - 1;
        const __m512i q = thm_outputs_narrow(u, sums[i], sums[thm_min(i + 1, last)],
                                             sums[thm_min(i + 2, last)], sums[thm_min(i + 3, last)]);
        thm_store_avx512(y, t->y_step, q, blocks, thm_min(positions - i / blocks, each), lanes);
        y += each * t->y_step;
    }
}

/* 16 * blocks outputs from o on at all positions: `most` at a time, or 4, 2, 1. */
THM_INLINE void thm_blocks_avx512(const thm_lanes_tile *t, int32_t o, int32_t blocks, int32_t most,
                                  const int8_t *w, int32_t n)
{
    const __mmask64 lanes = thm_low_lanes(t->outputs - o);
    const int8_t *x = t->x;
    int8_t *y = t->y + o;
    thm_outputs_avx512 u;
    thm_outputs_start(&u, t->output_offset, t->act_min, t->act_max);
    thm_outputs_load(&u, t->records + 3 * o, blocks, 48, 16);
    for (int32_t count; n > 0; n -= count) {
        count = n >= most && (n != 8 || most == 8) ? most : n >= 4 ? 4 : n >= 2 ? 2 : 1;
        if (count == most) {
            thm_block_avx512(t, &u, blocks, most, w, x, y, lanes);
        } else if (count == 4) {
            thm_block_avx512(t, &u, blocks, 4, w, x, y, lanes);
        } else if (count == 2) {
            thm_block_avx512(t, &u, blocks, 2, w, x, y, lanes);
        } else {
            thm_block_avx512(t, &u, blocks, 1, w, x, y, lanes);
        }
        x += count * t->x_step;
        y += count * t->y_step;
    }
}

/* All outputs of n positions. */
__attribute__((noinline, unused)) static void thm_lanes_avx512(const thm_lanes_tile *t, int32_t n)
{
    const int32_t w_step = t->rows * t->runs * ((t->length + 3) / 4) * 64;
    const int8_t *w = t->w;
    int32_t o = 0;
    for (; o + 48 < t->outputs; o += 64, w += 4 * w_step) {
        thm_blocks_avx512(t, o, 4, 6, w, n);
    }
    if (o + 16 < t->outputs) {
        thm_blocks_avx512(t, o, 2, 8, w, n);
        o += 32;
        w += 2 * w_step;
    }
    if (o < t->outputs) {
        thm_blocks_avx512(t, o, 1, 8, w, n);
    }
}

THM_INLINE void thm_lanes_s8(const thm_lanes_tile *t, int32_t n)
{
    if (t->lanes == 16 && t->k_block == 4 && t->x_offset == 128) {
        thm_lanes_avx512(t, n);
    } else {
        thm_lanes_any_s8(t, n);
    }
}

#endif
