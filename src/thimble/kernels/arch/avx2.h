/* Vectors of pair_lanes.h for x86-64 with AVX2: eight int32 sums a register.
 *
 * VPMADDWD adds two products of int16 to each sum (VPMADDUBSW, which takes bytes, saturates).
 */
#ifndef THM_ARCH_AVX2_H
#define THM_ARCH_AVX2_H

#include <immintrin.h>

#include "../thm.h"

typedef __m256i thm_sums;        /* of eight outputs */
typedef __m256i thm_pairs16;     /* two int16 for each of them */
typedef __m128i thm_bytes16;

/* Multipliers and shifts of eight sums, as thm_requantize_sums takes them. */
typedef struct {
    __m256i multiplier, multiplier_odd;
    __m256i left;                /* max(shift, 0) */
    __m256i right;               /* max(-shift, 1) - 1 */
    __m256i is_rounded;          /* all ones where shift < 0: there is a second rounding */
} thm_scales;

/* multiplier >= 0, shift in [-31, 31] */
THM_INLINE void thm_scales_load(thm_scales *s, const int32_t *multiplier, const int32_t *shift)
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
THM_INLINE __m256i thm_requantize_sums(__m256i acc, const thm_scales *s)
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
    thm_scales scales[2];
    __m256i bias[2];
    __m256i output_offset;       /* int16 lanes */
    __m128i act_min, act_max;    /* int8 lanes */
} thm_outputs;

/* Records of `lanes` outputs a part: biases, multipliers, shifts; eight from each block. */
THM_INLINE void thm_outputs_load(thm_outputs *u, const int32_t *records, int32_t blocks,
                                 int32_t step, int32_t lanes)
{
    THM_UNROLL
    for (int32_t b = 0; b < blocks; b++) {
        const int32_t *r = records + b * step;
        u->bias[b] = _mm256_loadu_si256((const __m256i *)(const void *)r);
        thm_scales_load(&u->scales[b], r + lanes, r + 2 * lanes);
    }
}

THM_INLINE void thm_outputs_start(thm_outputs *u, int32_t output_offset, int32_t act_min,
                                  int32_t act_max)
{
    u->output_offset = _mm256_set1_epi16((int16_t)output_offset);
    u->act_min = _mm_set1_epi8((int8_t)act_min);
    u->act_max = _mm_set1_epi8((int8_t)act_max);
}

/* y[0 .. count) = sums of two blocks, requantized, with offset and clamped; count at most 16. Saturating to
 * int16 and int8 on the way changes nothing, as offset and bounds are int8. */
THM_INLINE void thm_outputs_store(const thm_outputs *u, __m256i a, __m256i b, int8_t *y,
                                  int32_t count)
{
    __m256i q = _mm256_packs_epi32(thm_requantize_sums(a, &u->scales[0]),
                                   thm_requantize_sums(b, &u->scales[1]));
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

/* a + the sums of the products of each two int16 */
THM_INLINE thm_sums thm_add_products(thm_sums a, thm_pairs16 x, thm_pairs16 w)
{
    return _mm256_add_epi32(a, _mm256_madd_epi16(x, w));
}

/* w[0 .. 16) as int16 */
THM_INLINE thm_pairs16 thm_load_pairs(const int8_t *w)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)w));
}

/* The two int16 at x, for every output */
THM_INLINE thm_pairs16 thm_repeat_pair(const int16_t *x)
{
    int32_t pair;
    memcpy(&pair, x, 4);
    return _mm256_set1_epi32(pair);
}

THM_INLINE thm_bytes16 thm_load_bytes(const int8_t *x)
{
    return _mm_loadu_si128((const __m128i *)(const void *)x);
}

THM_INLINE thm_bytes16 thm_zero_bytes(void)
{
    return _mm_setzero_si128();
}

/* Bytes a[0], b[0], a[1], b[1], ... as int16: of channels 0 to 7, and 8 to 15 */
THM_INLINE thm_pairs16 thm_interleave_low(thm_bytes16 a, thm_bytes16 b)
{
    return _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(a, b));
}

THM_INLINE thm_pairs16 thm_interleave_high(thm_bytes16 a, thm_bytes16 b)
{
    return _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(a, b));
}

/* to[0 .. 16) = x[0 .. 16) */
THM_INLINE void thm_widen_16(int16_t *to, const int8_t *x)
{
    _mm256_storeu_si256((__m256i *)(void *)to, thm_load_pairs(x));
}

#endif
