/* The DSP extension (Cortex-M4, M7, M33): two 16-bit products an instruction.
 *
 * Each primitive also has a form in plain C with the same result, so that kernels written in them run,
 * and are tested, everywhere. All sums wrap around as two's complement int32.
 */
#ifndef THM_ARCH_DSP_H
#define THM_ARCH_DSP_H

#include "../thm.h"

#define THM_UNUSED __attribute__((unused))
/* A function wholly in assembly. */
#if defined(__clang__)
#define THM_NAKED __attribute__((naked, noinline, unused)) static
#else /* else gcc takes it for a function that touches no memory */
#define THM_NAKED __attribute__((naked, noipa, unused)) static
#endif

/* Cortex-M0, M0+: no DSP extension, but kernels of assembly too. */
#if defined(__ARM_ARCH_6M__)
#define THM_THUMB1 1
#else
#define THM_THUMB1 0
#endif

#if defined(__ARM_FEATURE_SIMD32) && defined(__ARM_FEATURE_DSP)
#define THM_DSP 1
#define THM_DSP_3(name, op)                                                                        \
    THM_INLINE int32_t name(int32_t a, int32_t b, int32_t c)                                       \
    {                                                                                              \
        int32_t r;                                                                                 \
        __asm__(op " %0, %1, %2, %3" : "=r"(r) : "r"(a), "r"(b), "r"(c));                          \
        return r;                                                                                  \
    }
#define THM_DSP_2(name, op)                                                                        \
    THM_INLINE int32_t name(int32_t a, int32_t b)                                                  \
    {                                                                                              \
        int32_t r;                                                                                 \
        __asm__(op : "=r"(r) : "r"(a), "r"(b));                                                    \
        return r;                                                                                  \
    }
#define THM_DSP_1(name, op)                                                                        \
    THM_INLINE int32_t name(int32_t a)                                                             \
    {                                                                                              \
        int32_t r;                                                                                 \
        __asm__(op : "=r"(r) : "r"(a));                                                            \
        return r;                                                                                  \
    }
#else
#define THM_DSP 0
#define THM_DSP_3(name, op)
#define THM_DSP_2(name, op)
#define THM_DSP_1(name, op)
THM_INLINE int32_t thm_low16(int32_t a)
{
    return (int16_t)(uint16_t)(uint32_t)a;
}

THM_INLINE int32_t thm_high16(int32_t a)
{
    return a >> 16;
}

THM_INLINE int32_t thm_halves(int32_t low, int32_t high)
{
    return (int32_t)(((uint32_t)low & 0xFFFFu) | ((uint32_t)high << 16));
}

THM_INLINE int32_t thm_wrap_add(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

/* c + low(a) * low(b) + high(a) * high(b) */
THM_INLINE int32_t thm_smlad(int32_t a, int32_t b, int32_t c)
{
    return thm_wrap_add(thm_wrap_add(c, thm_low16(a) * thm_low16(b)),
                        thm_high16(a) * thm_high16(b));
}

/* c + low(a) * low(b) */
THM_INLINE int32_t thm_smlabb(int32_t a, int32_t b, int32_t c)
{
    return thm_wrap_add(c, thm_low16(a) * thm_low16(b));
}

/* c + low(a) * high(b) */
THM_INLINE int32_t thm_smlabt(int32_t a, int32_t b, int32_t c)
{
    return thm_wrap_add(c, thm_low16(a) * thm_high16(b));
}

/* c + high(a) * low(b) */
THM_INLINE int32_t thm_smlatb(int32_t a, int32_t b, int32_t c)
{
    return thm_wrap_add(c, thm_high16(a) * thm_low16(b));
}

/* c + floor(a * b / 2^32 + 1/2) */
THM_INLINE int32_t thm_smmlar(int32_t a, int32_t b, int32_t c)
{
    return thm_wrap_add(c, (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32));
}

/* Bytes 0 and 2 as two int16. */
THM_INLINE int32_t thm_sxtb16(int32_t a)
{
    return thm_halves((int8_t)(uint8_t)(uint32_t)a, (int32_t)((uint32_t)a << 8) >> 24);
}

/* Bytes 1 and 3 as two int16. */
THM_INLINE int32_t thm_sxtb16_odd(int32_t a)
{
    return thm_halves((int32_t)((uint32_t)a << 16) >> 24, a >> 24);
}

/* Low half of a, low half of b above it. */
THM_INLINE int32_t thm_pkhbt(int32_t a, int32_t b)
{
    return thm_halves(a, b);
}

/* High half of b, high half of a above it. */
THM_INLINE int32_t thm_pkhtb(int32_t a, int32_t b)
{
    return thm_halves(thm_high16(b), thm_high16(a));
}

/* Both halves added. */
THM_INLINE int32_t thm_sadd16(int32_t a, int32_t b)
{
    return thm_halves(thm_low16(a) + thm_low16(b), thm_high16(a) + thm_high16(b));
}

/* a * 2^k and floor(a / 2^k), k the low byte of b and below 32 */
THM_INLINE int32_t thm_lsl_byte(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a << ((uint32_t)b & 255u));
}

THM_INLINE int32_t thm_asr_byte(int32_t a, int32_t b)
{
    return a >> ((uint32_t)b & 255u);
}

/* floor(a / 2), saturated to int8 */
THM_INLINE int32_t thm_ssat8_half(int32_t a)
{
    return thm_clamp(a >> 1, INT8_MIN, INT8_MAX);
}
#endif

THM_DSP_3(thm_smlad, "smlad")
THM_DSP_3(thm_smlabb, "smlabb")
THM_DSP_3(thm_smlabt, "smlabt")
THM_DSP_3(thm_smlatb, "smlatb")
THM_DSP_3(thm_smmlar, "smmlar")
THM_DSP_1(thm_sxtb16, "sxtb16 %0, %1")
THM_DSP_1(thm_sxtb16_odd, "sxtb16 %0, %1, ror #8")
THM_DSP_2(thm_pkhbt, "pkhbt %0, %1, %2, lsl #16")
THM_DSP_2(thm_pkhtb, "pkhtb %0, %1, %2, asr #16")
THM_DSP_2(thm_sadd16, "sadd16 %0, %1, %2")
THM_DSP_2(thm_lsl_byte, "lsl %0, %1, %2")
THM_DSP_2(thm_asr_byte, "asr %0, %1, %2")
THM_DSP_1(thm_ssat8_half, "ssat %0, #8, %1, asr #1")

/* A channel's requantization in two words, where compile time has proved that |bias| < 2^23, |acc| < 2^30
 * and that the right shift is in [1, 22]: the record {bias * 2^8 + shift - 1, multiplier}.
 *
 * y = saturate8(round(round(acc * multiplier / 2^31) / 2^shift) + offset), each rounding half away from
 * zero. SMMLAR rounds the first, from twice = 2 * acc. The second adds one half, less one unit for
 * negatives (`sign` has the sign of acc), and the offset on the way, all in halves:
 * rounding = (2 * offset + 1) << (shift - 1).
 */
THM_INLINE int8_t thm_requantize_record(int32_t twice, int32_t sign, int32_t record,
                                        int32_t multiplier, int32_t rounding)
{
    const int32_t v = thm_smmlar(twice, multiplier, rounding + (sign >> 31));
    return (int8_t)thm_ssat8_half(thm_asr_byte(v, record));
}

/* y[0 .. count) in [act_min, act_max], which is seldom narrower than int8. */
THM_INLINE void thm_clamp_row(int8_t *y, int32_t count, int32_t act_min, int32_t act_max)
{
    if (act_min > INT8_MIN || act_max < INT8_MAX) {
        for (int32_t i = 0; i < count; i++) {
            y[i] = (int8_t)thm_clamp(y[i], act_min, act_max);
        }
    }
}

#endif
