/* Depthwise rows with AVX-512 VNNI: bytes of four taps are interleaved, so that VPDPBUSD adds four products
 * to each of sixteen channels. lanes 64, k_block 4, x_offset 128 (avx512.h). */
#ifndef THM_ARCH_AVX512_DEPTHWISE_H
#define THM_ARCH_AVX512_DEPTHWISE_H

#include "avx512.h"

/* How the bytes of a tap are loaded: all 64, the channels there are, or every other position. */
enum { THM_LOAD_ALL, THM_LOAD_SOME, THM_LOAD_ALTERNATE };

#define THM_MOST_TAPS 64 /* whose addresses a row keeps at hand */

THM_INLINE __m512i thm_tap_avx512(const int8_t *x, int32_t mode, __mmask64 lanes, __m512i order)
{
    __m512i v;
    if (mode == THM_LOAD_ALTERNATE) {
        v = _mm512_permutex2var_epi32(_mm512_loadu_si512(x), order, _mm512_loadu_si512(x + 64));
    } else if (mode == THM_LOAD_SOME) {
        v = _mm512_maskz_loadu_epi8(lanes, x);
    } else {
        v = _mm512_loadu_si512(x);
    }
    return _mm512_xor_si512(v, _mm512_set1_epi8(-128));
}

/* sums[4] += products of four taps, of which the first `count` are there */
THM_INLINE void thm_taps_avx512(__m512i *sums, const int8_t *const *x, int32_t at, int32_t count,
                                int32_t mode, __mmask64 lanes, __m512i order, const int8_t *w)
{
    const __m512i zero = _mm512_setzero_si512();
    const __m512i a = thm_tap_avx512(x[0] + at, mode, lanes, order);
    const __m512i b = count > 1 ? thm_tap_avx512(x[1] + at, mode, lanes, order) : zero;
    const __m512i c = count > 2 ? thm_tap_avx512(x[2] + at, mode, lanes, order) : zero;
    const __m512i d = count > 3 ? thm_tap_avx512(x[3] + at, mode, lanes, order) : zero;
    const __m512i ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
    const __m512i cd_low = _mm512_unpacklo_epi8(c, d), cd_high = _mm512_unpackhi_epi8(c, d);
    const __m512i fours[4] = {
        _mm512_unpacklo_epi16(ab_low, cd_low),
        _mm512_unpackhi_epi16(ab_low, cd_low),
        _mm512_unpacklo_epi16(ab_high, cd_high),
        _mm512_unpackhi_epi16(ab_high, cd_high),
    };
    THM_UNROLL
    for (int32_t q = 0; q < 4; q++) {
        thm_dpbusd(&sums[q], fours[q], _mm512_loadu_si512(w + 64 * q));
    }
}

/* All rows of t; taps is t->taps_h * t->taps_w, perhaps as a constant. */
THM_INLINE void thm_depthwise_rows_avx512(const thm_depthwise_lanes *t, int32_t taps, int32_t mode)
{
    const int32_t groups = (taps + 3) / 4, row_bytes = t->positions * t->channels;
    const int32_t positions = t->together, bytes = positions > 1 ? 64 : t->channels;
    const int8_t *x[THM_MOST_TAPS];
    __m512i order = _mm512_setzero_si512();
    if (mode == THM_LOAD_ALTERNATE) {
        int32_t from[16];
        for (int32_t i = 0; i < 16; i++) {
            from[i] = i + 4 * i / t->channels * (t->channels / 4);
        }
        order = _mm512_loadu_si512(from);
    }
    for (int32_t c = 0; c < bytes; c += 64) {
        const int8_t *w = t->w + c * groups * 4;
        thm_outputs_avx512 u;
        thm_outputs_start(&u, t->output_offset, t->act_min, t->act_max);
        thm_outputs_load(&u, t->records + 3 * c, 4, 16, 64);
        for (int32_t row = 0; row < t->rows; row++) {
            int8_t *y = t->y + row * row_bytes + c, *const y_end = t->y + (row + 1) * row_bytes;
            for (int32_t ky = 0, tap = 0; ky < t->taps_h; ky++) {
                const int8_t *from =
                    t->x + thm_depthwise_row(t, t->first + row * t->band_step, ky) + c;
                for (int32_t kx = 0; kx < t->taps_w; kx++, tap++) {
                    x[tap] = from + kx * t->column_step;
                }
            }
            int32_t at = 0;
            for (int32_t i = 0; i < t->positions; i += positions) {
                const int32_t left = positions > 1 ? (int32_t)(y_end - y) : t->channels - c;
                const __mmask64 lanes = thm_low_lanes(left);
                __m512i sums[4] = {u.bias[0], u.bias[1], u.bias[2], u.bias[3]};
                if (taps == 9) {
                    thm_taps_avx512(sums, x, at, 4, mode, lanes, order, w);
                    thm_taps_avx512(sums, x + 4, at, 4, mode, lanes, order, w + 256);
                    thm_taps_avx512(sums, x + 8, at, 1, mode, lanes, order, w + 512);
                } else {
                    int32_t tap = 0;
                    for (; tap + 4 <= taps; tap += 4) {
                        thm_taps_avx512(sums, x + tap, at, 4, mode, lanes, order, w + 64 * tap);
                    }
                    if (tap < taps) {
                        thm_taps_avx512(sums, x + tap, at, taps - tap, mode, lanes, order,
                                        w + 64 * tap);
                    }
                }
                thm_outputs_scale(&u, sums, 4, 4);
                const __m512i q = thm_outputs_narrow(&u, sums[0], sums[1], sums[2], sums[3]);
                _mm512_mask_storeu_epi8(y, lanes, q);
                y += positions * t->channels;
                at += positions * t->x_step;
            }
        }
    }
}

__attribute__((noinline, unused)) static void thm_depthwise_avx512(const thm_depthwise_lanes *t,
                                                                   int32_t mode)
{
    const int32_t taps = t->taps_h * t->taps_w;
    if (mode == THM_LOAD_ALTERNATE) {
        thm_depthwise_rows_avx512(t, taps, THM_LOAD_ALTERNATE);
    } else if (taps == 9 && mode == THM_LOAD_ALL) {
        thm_depthwise_rows_avx512(t, 9, THM_LOAD_ALL);
    } else {
        thm_depthwise_rows_avx512(t, taps, THM_LOAD_SOME);
    }
}

THM_INLINE void thm_depthwise_lanes_s8(const thm_depthwise_lanes *t)
{
    const int32_t alternates = t->together > 1 && t->x_step == 2 * t->channels;
    const int32_t is_known = t->together == 1 || t->x_step == t->channels ||
                             (alternates && t->channels % 4 == 0);
    if (t->lanes == 64 && t->k_block == 4 && t->x_offset == 128 && is_known &&
        t->taps_h * t->taps_w <= THM_MOST_TAPS) {
        const int32_t is_whole = t->together > 1 || t->channels % 64 == 0;
        thm_depthwise_avx512(t, alternates ? THM_LOAD_ALTERNATE
                                : is_whole ? THM_LOAD_ALL
                                           : THM_LOAD_SOME);
    } else {
        thm_depthwise_lanes_any_s8(t);
    }
}

#endif
