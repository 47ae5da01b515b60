/* Vectors of floats, as wide as the core has them: those of gcc and clang; in plain C one float. */
#ifndef THM_ARCH_F32S_H
#define THM_ARCH_F32S_H

#include "../thm.h"

#if defined(__AVX__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define THM_F32_LANES 16
#elif defined(__AVX__)
#define THM_F32_LANES 8
#elif defined(__wasm_simd128__)
#define THM_F32_LANES 4
#else
#define THM_F32_LANES 1
#endif

#if THM_F32_LANES > 1
typedef float thm_f32s __attribute__((vector_size(4 * THM_F32_LANES)));
typedef int32_t thm_i32s __attribute__((vector_size(4 * THM_F32_LANES)));

#if defined(__AVX512F__)
THM_INLINE __mmask16 thm_mask_f32s(int32_t count)
{
    return (__mmask16)((1u << count) - 1u);
}
#elif defined(__AVX__)
THM_INLINE __m256i thm_mask_f32s(int32_t count)
{
    const __m256 places = _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256 end = _mm256_set1_ps((float)count);
    return _mm256_castps_si256(_mm256_cmp_ps(places, end, _CMP_LT_OQ));
}
#endif

THM_INLINE thm_f32s thm_zero_f32s(void)
{
    const thm_f32s zero = {0};
    return zero;
}

THM_INLINE thm_f32s thm_load_f32s(const float *from)
{
    thm_f32s v;
    memcpy(&v, from, sizeof v);
    return v;
}

/* The low `count` lanes of from[0 .. count), zeros above; count at least 1. */
THM_INLINE thm_f32s thm_load_some_f32s(const float *from, int32_t count)
{
#if defined(__AVX512F__)
    return (thm_f32s)_mm512_maskz_loadu_ps(thm_mask_f32s(count), from);
#elif defined(__AVX__)
    return (thm_f32s)_mm256_maskload_ps(from, thm_mask_f32s(count));
#else
    thm_f32s v = thm_zero_f32s();
    memcpy(&v, from, 4 * (size_t)thm_min(count, THM_F32_LANES));
    return v;
#endif
}

/* to[0 .. count) = the low lanes of v, all of them where count is above their number */
THM_INLINE void thm_store_f32s(float *to, thm_f32s v, int32_t count)
{
    if (count >= THM_F32_LANES) {
        memcpy(to, &v, sizeof v);
        return;
    }
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(to, thm_mask_f32s(count), (__m512)v);
#elif defined(__AVX__)
    _mm256_maskstore_ps(to, thm_mask_f32s(count), (__m256)v);
#else
    memcpy(to, &v, 4 * (size_t)count);
#endif
}

/* mask ? a : b */
THM_INLINE thm_f32s thm_select_f32s(thm_i32s mask, thm_f32s a, thm_f32s b)
{
    return (thm_f32s)(((thm_i32s)a & mask) | ((thm_i32s)b & ~mask));
}

/* thm_clamp_f32 of every lane */
THM_INLINE thm_f32s thm_clamp_f32s(thm_f32s x, float low, float high)
{
    const thm_f32s lows = thm_zero_f32s() + low, highs = thm_zero_f32s() + high;
    const thm_f32s y = thm_select_f32s(x < lows, lows, x);
    return thm_select_f32s(highs < y, highs, y);
}
#else
typedef float thm_f32s;

THM_INLINE thm_f32s thm_zero_f32s(void)
{
    return 0.0f;
}

THM_INLINE thm_f32s thm_load_some_f32s(const float *from, int32_t count)
{
    (void)count;
    return *from;
}

THM_INLINE void thm_store_f32s(float *to, thm_f32s v, int32_t count)
{
    (void)count;
    *to = v;
}

THM_INLINE thm_f32s thm_clamp_f32s(thm_f32s x, float low, float high)
{
    return thm_clamp_f32(x, low, high);
}
#endif

#endif
