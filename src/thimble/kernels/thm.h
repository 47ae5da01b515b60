/* What every kernel and every generated model includes: types, attributes, row addressing.
 *
 * Kernel convention
 *   THM_KERNEL void thm_<op>_<dtype>(const thm_<op>_<dtype>_params *p,
 *                                    int32_t y_first, int32_t y_count, buffers...)
 * computes output rows [y_first, y_first + y_count). Buffers that hold rows are rings: row r of buffer `b`
 * lies at b + (r % p->b_ring) * row size; a whole tensor is the case b_ring = number of rows.
 * Every field of a params struct is one 32-bit word. The body is always inlined: called with a constant
 * struct it folds to a specialised kernel, called through a noinline wrapper it is shared.
 * Kernels never allocate, never fail and keep no state of their own.
 *
 * Functions that are not inlined serve all layers of a model. Where all calls that have a certain word have
 * it alike, the generated file defines THM_ALL_<word> for the headers that ask for it, so that such
 * functions drop what no call needs.
 */
#ifndef THM_H
#define THM_H

#include <stdint.h>
#include <string.h>

#define THM_INLINE static inline __attribute__((always_inline))
#define THM_KERNEL static inline __attribute__((always_inline, unused))
#if defined(__clang__)
#define THM_NOINLINE __attribute__((noinline))
#else
#define THM_NOINLINE __attribute__((noinline, noclone))
#endif

/* Row r of a ring of `ring` rows. Whole tensors have r < ring, so the division folds away. */
THM_INLINE int32_t thm_ring(int32_t r, int32_t ring)
{
    return r < ring ? r : r % ring;
}

THM_INLINE int32_t thm_min(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

THM_INLINE int32_t thm_max(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

THM_INLINE int32_t thm_clamp(int32_t x, int32_t low, int32_t high)
{
    return thm_min(thm_max(x, low), high);
}

THM_INLINE float thm_clamp_f32(float x, float low, float high)
{
    const float y = x < low ? low : x; /* this order keeps NaN and -0.0, as TFLM and NumPy do */
    return high < y ? high : y;
}

#endif
