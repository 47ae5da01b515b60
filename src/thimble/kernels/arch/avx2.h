/* Tiles for x86-64 with AVX2: eight int32 sums a register.
 *
 * VPMADDWD adds two products of int16 to each sum (VPMADDUBSW, which takes bytes, saturates). Weights are
 * widened as they are read, x once for each block of outputs: x_offset is 0, lanes 8, k_block 2.
 */
#ifndef THM_ARCH_AVX2_H
#define THM_ARCH_AVX2_H

#include <immintrin.h>

#include "lanes.h"

#if defined(__clang__)
#define THM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define THM_UNROLL _Pragma("GCC unroll 64")
#endif

#define THM_WIDENED 256 /* products of a run that are widened at a time */

/* Multipliers and shifts of eight sums, as thm_requantize_avx2 takes them. */
typedef struct {
    __m256i multiplier, multiplier_odd;
    __m256i left;                /* max(shift, 0) */
    __m256i right;               /* max(-shift, 1) - 1 */
    __m256i is_rounded;          /* all ones where shift < 0: there is a second rounding */
} thm_scales_avx2;

/* multiplier >= 0, shift in [-31, 31] */
THM_INLINE void thm_scales_load(thm_scales_avx2 *s, const int32_t *multiplier, const int32_t *shift)
{
    const __m256i zero = _mm256_setzero_si256(), one = _mm256_set1_epi32(1);
    const __m256i by = _mm256_loadu_si256((const __m256i *)(const void *)shift);
    s->multiplier = _mm256_loadu_si256((const __m256i *)(const void *)multiplier);
    s->multiplier_odd = _mm256_srli_epi64(s->multiplier, 32);
    s->left = _mm256_max_epi32(by, zero);
    s->right = _mm256_sub_epi32(_mm256_max_epi32(_mm256_sub_epi32(zero, by), one), one);
    s->is_rounded = _mm256_cmpgt_epi32(zero, by);
}

/* thm_requantize in eight lanes. */
THM_INLINE __m256i thm_requantize_avx2(__m256i acc, const thm_scales_avx2 *s)
{
    const __m256i half = _mm256_set1_epi64x((int64_t)1 << 30);
    acc = _mm256_sllv_epi32(acc, s->left);
    __m256i even = _mm256_mul_epi32(acc, s->multiplier);
    __m256i odd = _mm256_mul_epi32(_mm256_srli_epi64(acc, 32), s->multiplier_odd);
    even = _mm256_srli_epi64(_mm256_add_epi64(even, half), 31);
    odd = _mm256_slli_epi64(_mm256_add_epi64(odd, half), 1);
    const __m256i product = _mm256_blend_epi32(even, odd, 0xAA);
    /* As thm_requantize_down: halves away from zero are one less for negatives, then halves up. */
    __m256i q = _mm256_add_epi32(product, _mm256_srai_epi32(product, 31));
    q = _mm256_add_epi32(_mm256_srav_epi32(q, s->right), _mm256_set1_epi32(1));
    return _mm256_blendv_epi8(product, _mm256_srai_epi32(q, 1), s->is_rounded);
}

/* What sixteen outputs share with all positions. */
typedef struct {
    thm_scales_avx2 scales[2];
    __m256i bias[2];
    __m256i output_offset;       /* int16 lanes */
    __m128i act_min, act_max;    /* int8 lanes */
} thm_outputs_avx2;

/* Records of `lanes` outputs a part: biases, multipliers, shifts; eight from each block. */
THM_INLINE void thm_outputs_load(thm_outputs_avx2 *u, const int32_t *records, int32_t blocks,
                                 int32_t step, int32_t lanes)
{
    THM_UNROLL
    for (int32_t b = 0; b < blocks; b++) {
        const int32_t *r = records + b * step;
        u->bias[b] = _mm256_loadu_si256((const __m256i *)(const void *)r);
        thm_scales_load(&u->scales[b], r + lanes, r + 2 * lanes);
    }
}

THM_INLINE void thm_outputs_start(thm_outputs_avx2 *u, int32_t output_offset, int32_t act_min,
                                  int32_t act_max)
{
    u->output_offset = _mm256_set1_epi16((int16_t)output_offset);
    u->act_min = _mm_set1_epi8((int8_t)act_min);
    u->act_max = _mm_set1_epi8((int8_t)act_max);
}

/* y[0 .. count) = sums of two blocks, requantized, with offset and clamped; count at most 16. Saturating to
 * int16 and int8 on the way changes nothing, as offset and bounds are int8. */
THM_INLINE void thm_outputs_store(const thm_outputs_avx2 *u, __m256i a, __m256i b, int8_t *y,
                                  int32_t count)
{
    __m256i q = _mm256_packs_epi32(thm_requantize_avx2(a, &u->scales[0]),
                                   thm_requantize_avx2(b, &u->scales[1]));
    q = _mm256_permute4x64_epi64(_mm256_adds_epi16(q, u->output_offset), 0xD8);
    __m128i v = _mm_packs_epi16(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    v = _mm_min_epi8(_mm_max_epi8(v, u->act_min), u->act_max);
    if (count >= 16) {
        _mm_storeu_si128((__m128i *)(void *)y, v);
    } else {
        int8_t all[16];
        _mm_storeu_si128((__m128i *)(void *)all, v);
        for (int32_t i = 0; i < count; i++) {
            y[i] = all[i];
        }
    }
}

/* x[0 .. count) as int16, and a zero after an odd count */
THM_INLINE void thm_widen_avx2(int16_t *to, const int8_t *x, int32_t count)
{
    int32_t k = 0;
    for (; k + 16 <= count; k += 16) {
        const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(x + k));
        _mm256_storeu_si256((__m256i *)(void *)(to + k), _mm256_cvtepi8_epi16(v));
    }
    for (; k < count; k++) {
        to[k] = x[k];
    }
    if (count % 2) {
        to[count] = 0;
    }
}

THM_INLINE __m256i thm_weights_avx2(const int8_t *w)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)w));
}

/* Sixteen outputs at `positions` positions from x on; weights of the second eight at w + w_step. */
THM_INLINE void thm_block_avx2(const thm_lanes_tile *t, const thm_outputs_avx2 *u, int32_t positions,
                               const int8_t *w, int32_t w_step, const int8_t *x, int8_t *y,
                               int32_t outputs)
{
    int16_t widened[4][THM_WIDENED];
    __m256i sums[8];
    THM_UNROLL
    for (int32_t i = 0; i < positions; i++) {
        sums[2 * i] = u->bias[0];
        sums[2 * i + 1] = u->bias[1];
    }
    for (int32_t row = 0; row < t->rows; row++) {
        for (int32_t run = 0; run < t->runs; run++) {
            for (int32_t k = 0; k < t->length; k += THM_WIDENED) {
                const int32_t count = thm_min(t->length - k, THM_WIDENED);
                for (int32_t i = 0; i < positions; i++) {
                    thm_widen_avx2(widened[i], x + run * t->run_step + i * t->x_step + k, count);
                }
                for (int32_t at = 0; at < count; at += 2, w += 16) {
                    const __m256i w0 = thm_weights_avx2(w), w1 = thm_weights_avx2(w + w_step);
                    THM_UNROLL
                    for (int32_t i = 0; i < positions; i++) {
                        int32_t pair;
                        memcpy(&pair, &widened[i][at], 4);
                        const __m256i v = _mm256_set1_epi32(pair);
                        sums[2 * i] = _mm256_add_epi32(sums[2 * i], _mm256_madd_epi16(v, w0));
                        sums[2 * i + 1] =
                            _mm256_add_epi32(sums[2 * i + 1], _mm256_madd_epi16(v, w1));
                    }
                }
            }
        }
        x = thm_lanes_next_row(t, x);
    }
    THM_UNROLL
    for (int32_t i = 0; i < positions; i++) {
        thm_outputs_store(u, sums[2 * i], sums[2 * i + 1], y + i * t->y_step, outputs);
    }
}

/* All outputs of n positions. */
__attribute__((noinline, unused)) static void thm_lanes_avx2(const thm_lanes_tile *t, int32_t n)
{
    const int32_t w_step = t->rows * t->runs * ((t->length + 1) / 2) * 16;
    thm_outputs_avx2 u;
    thm_outputs_start(&u, t->output_offset, t->act_min, t->act_max);
    for (int32_t o = 0; o < t->outputs; o += 16) {
        const int8_t *w = t->w + o / 8 * w_step, *x = t->x;
        const int32_t is_two = o + 8 < t->outputs; /* else the second eight repeat the first */
        int8_t *y = t->y + o;
        thm_outputs_load(&u, t->records + 3 * o, 2, is_two ? 24 : 0, 8);
        int32_t left = n;
        for (; left >= 4; left -= 4) {
            thm_block_avx2(t, &u, 4, w, is_two ? w_step : 0, x, y, t->outputs - o);
            x += 4 * t->x_step;
            y += 4 * t->y_step;
        }
        for (; left > 0; left--) {
            thm_block_avx2(t, &u, 1, w, is_two ? w_step : 0, x, y, t->outputs - o);
            x += t->x_step;
            y += t->y_step;
        }
    }
}

THM_INLINE void thm_lanes_s8(const thm_lanes_tile *t, int32_t n)
{
    if (t->lanes == 8 && t->k_block == 2 && t->x_offset == 0) {
        thm_lanes_avx2(t, n);
    } else {
        thm_lanes_any_s8(t, n);
    }
}

#endif
