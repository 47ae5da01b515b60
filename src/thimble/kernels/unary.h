/* y = f(x), element by element. x and y have one shape; row r of y needs row r of x. Safe in place.
 * Integers only: the float functions, which need libm, are in unary_f32.h and elementary.h. */
#ifndef THM_UNARY_H
#define THM_UNARY_H

#include "fixedpoint.h"
#include "sigmoid.h"

/* out = function(p, x) for the rows of a band, in the body of a kernel. */
#define THM_UNARY_ROWS(function)                                \
    for (int32_t r = y_first; r < y_first + y_count; r++) {     \
        const int32_t from = thm_ring(r, p->x_ring) * p->x_row; \
        const int32_t to = thm_ring(r, p->y_ring) * p->x_row;   \
        for (int32_t i = 0; i < p->x_row; i++) {                \
            y[to + i] = function(p, x[from + i]);               \
        }                                                       \
    }

/* Every function of one int8: table[(uint8_t)x], so 0 .. 127 come first, then -128 .. -1. */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_lookup_s8_params;

#define THM_LOOKUP_ONE(p, x) table[(uint8_t)(x)]

THM_KERNEL void thm_lookup_s8(const thm_lookup_s8_params *p, int32_t y_first, int32_t y_count,
                              const int8_t *x, const int8_t *table, int8_t *y)
{
    THM_UNARY_ROWS(THM_LOOKUP_ONE)
}

/* sigmoid(x) in 1/32768; table, multiplier and shift as in sigmoid.h */
typedef struct {
    int32_t y_ring, x_ring, x_row;
    int32_t multiplier, shift;
} thm_logistic_s16_params;

#define THM_LOGISTIC_ONE(p, x) thm_sigmoid_s16(table, x, (p)->multiplier, (p)->shift)

THM_KERNEL void thm_logistic_s16(const thm_logistic_s16_params *p, int32_t y_first,
                                 int32_t y_count, const int16_t *x, const uint16_t *table,
                                 int16_t *y)
{
    THM_UNARY_ROWS(THM_LOGISTIC_ONE)
}

/* tanh(x) in 1/32768 */
typedef struct {
    int32_t y_ring, x_ring, x_row;
    int32_t multiplier, shift;
} thm_tanh_s16_params;

#define THM_TANH_ONE(p, x) thm_tanh_by_table_s16(table, x, (p)->multiplier, (p)->shift)

THM_KERNEL void thm_tanh_s16(const thm_tanh_s16_params *p, int32_t y_first, int32_t y_count,
                             const int16_t *x, const uint16_t *table, int16_t *y)
{
    THM_UNARY_ROWS(THM_TANH_ONE)
}

/* clamp(requantize(|x|)); zero points are 0 */
typedef struct {
    int32_t y_ring, x_ring, x_row;
    int32_t multiplier, shift;
} thm_abs_s16_params;

THM_INLINE int16_t thm_abs_one_s16(const thm_abs_s16_params *p, int16_t x)
{
    const int32_t q = thm_requantize(x < 0 ? -x : x, p->multiplier, p->shift);
    return (int16_t)thm_min(q, INT16_MAX);
}

THM_KERNEL void thm_abs_s16(const thm_abs_s16_params *p, int32_t y_first, int32_t y_count,
                            const int16_t *x, int16_t *y)
{
    THM_UNARY_ROWS(thm_abs_one_s16)
}

#endif
