/* Vectors of pair_lanes.h for WebAssembly with 128-bit SIMD: eight int32 sums in two vectors.
 *
 * Its shifts move all lanes alike, so a shift of each lane is a product with a power of two. */
#ifndef THM_ARCH_SIMD128_H
#define THM_ARCH_SIMD128_H

#include <wasm_simd128.h>

#include "../thm.h"

typedef struct {
    v128_t half[2];
} thm_sums;                      /* of eight outputs */
typedef thm_sums thm_pairs16;    /* two int16 for each of them */
typedef v128_t thm_bytes16;

/* Multipliers and shifts of four sums. */
typedef struct {
    v128_t multiplier;
    v128_t left;                 /* 2^max(shift, 0) */
    v128_t right;                /* 2^(31 - max(-shift, 1)) */
    v128_t is_rounded;           /* all ones where shift < 0: there is a second rounding */
} thm_scales;

/* multiplier >= 0, shift in [-31, 31] */
THM_INLINE void thm_scales_load(thm_scales *s, const int32_t *multiplier, const int32_t *shift)
{
    int32_t left[4], right[4];
    for (int32_t i = 0; i < 4; i++) {
        left[i] = (int32_t)((uint32_t)1 << thm_max(shift[i], 0));
        right[i] = (int32_t)((uint32_t)1 << (31 - thm_max(-shift[i], 1)));
    }
    s->multiplier = wasm_v128_load(multiplier);
    s->left = wasm_v128_load(left);
    s->right = wasm_v128_load(right);
    s->is_rounded = wasm_i32x4_lt(wasm_v128_load(shift), wasm_i32x4_const_splat(0));
}

/* The low words of (a * b + add) / 2^by, rounded down */
THM_INLINE v128_t thm_multiply_high(v128_t a, v128_t b, v128_t add, uint32_t by)
{
    const v128_t low = wasm_i64x2_extmul_low_i32x4(a, b);
    const v128_t high = wasm_i64x2_extmul_high_i32x4(a, b);
    return wasm_i32x4_shuffle(wasm_i64x2_shr(wasm_i64x2_add(low, add), by),
                              wasm_i64x2_shr(wasm_i64x2_add(high, add), by), 0, 2, 4, 6);
}

/* thm_requantize in four lanes. */
THM_INLINE v128_t thm_requantize_sums(v128_t acc, const thm_scales *s)
{
    const v128_t product = thm_multiply_high(wasm_i32x4_mul(acc, s->left), s->multiplier,
                                             wasm_i64x2_const_splat((int64_t)1 << 30), 31);
    /* As thm_requantize_down: halves away from zero are one less for negatives, then halves up. */
    v128_t q = wasm_i32x4_add(product, wasm_i32x4_shr(product, 31));
    q = thm_multiply_high(q, s->right, wasm_i64x2_const_splat(0), 30);
    q = wasm_i32x4_shr(wasm_i32x4_add(q, wasm_i32x4_const_splat(1)), 1);
    return wasm_v128_bitselect(q, product, s->is_rounded);
}

/* What sixteen outputs share with all positions. */
typedef struct {
    thm_scales scales[4];
    thm_sums bias[2];
    v128_t output_offset;        /* int16 lanes */
    v128_t act_min, act_max;     /* int8 lanes */
} thm_outputs;

/* Records of `lanes` outputs a part: biases, multipliers, shifts; eight from each block. */
THM_INLINE void thm_outputs_load(thm_outputs *u, const int32_t *records, int32_t blocks,
                                 int32_t step, int32_t lanes)
{
    THM_UNROLL
    for (int32_t b = 0; b < 2 * blocks; b++) {
        const int32_t *r = records + b / 2 * step + b % 2 * 4;
        u->bias[b / 2].half[b % 2] = wasm_v128_load(r);
        thm_scales_load(&u->scales[b], r + lanes, r + 2 * lanes);
    }
}

THM_INLINE void thm_outputs_start(thm_outputs *u, int32_t output_offset, int32_t act_min,
                                  int32_t act_max)
{
    u->output_offset = wasm_i16x8_splat((int16_t)output_offset);
    u->act_min = wasm_i8x16_splat((int8_t)act_min);
    u->act_max = wasm_i8x16_splat((int8_t)act_max);
}

/* y[0 .. count) = sums of two blocks, requantized, with offset and clamped; count at most 16. Saturating to
 * int16 and int8 on the way changes nothing, as offset and bounds are int8. */
THM_INLINE void thm_outputs_store(const thm_outputs *u, thm_sums a, thm_sums b, int8_t *y,
                                  int32_t count)
{
    const v128_t low = wasm_i16x8_narrow_i32x4(thm_requantize_sums(a.half[0], &u->scales[0]),
                                               thm_requantize_sums(a.half[1], &u->scales[1]));
    const v128_t high = wasm_i16x8_narrow_i32x4(thm_requantize_sums(b.half[0], &u->scales[2]),
                                                thm_requantize_sums(b.half[1], &u->scales[3]));
    v128_t v = wasm_i8x16_narrow_i16x8(wasm_i16x8_add_sat(low, u->output_offset),
                                       wasm_i16x8_add_sat(high, u->output_offset));
    v = wasm_i8x16_min(wasm_i8x16_max(v, u->act_min), u->act_max);
    if (count >= 16) {
        wasm_v128_store(y, v);
    } else {
        int8_t all[16];
        wasm_v128_store(all, v);
        memcpy(y, all, (size_t)count);
    }
}

/* a + the sums of the products of each two int16 */
THM_INLINE thm_sums thm_add_products(thm_sums a, thm_pairs16 x, thm_pairs16 w)
{
    const thm_sums y = {{wasm_i32x4_add(a.half[0], wasm_i32x4_dot_i16x8(x.half[0], w.half[0])),
                         wasm_i32x4_add(a.half[1], wasm_i32x4_dot_i16x8(x.half[1], w.half[1]))}};
    return y;
}

/* w[0 .. 16) as int16 */
THM_INLINE thm_pairs16 thm_load_pairs(const int8_t *w)
{
    const thm_pairs16 y = {{wasm_i16x8_load8x8(w), wasm_i16x8_load8x8(w + 8)}};
    return y;
}

/* The two int16 at x, for every output */
THM_INLINE thm_pairs16 thm_repeat_pair(const int16_t *x)
{
    const v128_t pair = wasm_v128_load32_splat(x);
    const thm_pairs16 y = {{pair, pair}};
    return y;
}

THM_INLINE thm_bytes16 thm_load_bytes(const int8_t *x)
{
    return wasm_v128_load(x);
}

THM_INLINE thm_bytes16 thm_zero_bytes(void)
{
    return wasm_i8x16_const_splat(0);
}

/* Bytes a[0], b[0], a[1], b[1], ... as int16: of channels 0 to 7, and 8 to 15 */
THM_INLINE thm_pairs16 thm_interleave_low(thm_bytes16 a, thm_bytes16 b)
{
    const v128_t both = wasm_i8x16_shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const thm_pairs16 y = {{wasm_i16x8_extend_low_i8x16(both), wasm_i16x8_extend_high_i8x16(both)}};
    return y;
}

THM_INLINE thm_pairs16 thm_interleave_high(thm_bytes16 a, thm_bytes16 b)
{
    const v128_t both =
        wasm_i8x16_shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    const thm_pairs16 y = {{wasm_i16x8_extend_low_i8x16(both), wasm_i16x8_extend_high_i8x16(both)}};
    return y;
}

/* to[0 .. 16) = x[0 .. 16) */
THM_INLINE void thm_widen_16(int16_t *to, const int8_t *x)
{
    const thm_pairs16 v = thm_load_pairs(x);
    wasm_v128_store(to, v.half[0]);
    wasm_v128_store(to + 8, v.half[1]);
}

#endif
