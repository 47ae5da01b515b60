/* y[i] = (type of y)x[i]
 *
 * Floats are truncated toward zero and saturate at the ends of y's type, NaN gives 0; integers
 * wrap around; to bool, everything but 0 is 1. y may be x where its elements are no wider than
 * x's.
 */
#ifndef THM_CAST_H
#define THM_CAST_H

#include "element.h"

/* C leaves out-of-range conversions undefined; here they saturate. */
THM_INLINE int64_t thm_truncate_f32(float x, int32_t type)
{
    int64_t low = INT32_MIN, high = INT32_MAX;
    switch (type) {
    case THM_INT8:
        low = INT8_MIN;
        high = INT8_MAX;
        break;
    case THM_UINT8:
        low = 0;
        high = UINT8_MAX;
        break;
    case THM_INT16:
        low = INT16_MIN;
        high = INT16_MAX;
        break;
    case THM_UINT32:
        low = 0;
        high = UINT32_MAX;
        break;
    case THM_INT64:
        low = INT64_MIN;
        high = INT64_MAX;
        break;
    case THM_BOOL:
        return x < 0.0f || x > 0.0f || x != x;
    default:
        break;
    }
    if (x != x) {
        return 0;
    }
    if (x <= (float)low) {
        return low;
    }
    if (x >= (float)high) {
        return high;
    }
    return type == THM_INT64 || type == THM_UINT32 ? (int64_t)x : (int32_t)x;
}

typedef struct {
    int32_t row, x_type, y_type; /* elements of a row, thm_dtype */
    int32_t x_ring, y_ring;
} thm_cast_params;

THM_KERNEL void thm_cast(const thm_cast_params *p, int32_t y_first, int32_t y_count, const void *x,
                         void *y)
{
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const int32_t from = thm_ring(r, p->x_ring) * p->row;
        const int32_t to = thm_ring(r, p->y_ring) * p->row;
        for (int32_t i = 0; i < p->row; i++) {
            if (p->x_type == THM_FLOAT32) {
                const float value = ((const float *)x)[from + i];
                if (p->y_type == THM_FLOAT32) {
                    ((float *)y)[to + i] = value;
                } else {
                    thm_store_int(y, to + i, p->y_type, thm_truncate_f32(value, p->y_type));
                }
            } else {
                const int64_t value = thm_load_int(x, from + i, p->x_type);
                if (p->y_type != THM_FLOAT32) {
                    thm_store_int(y, to + i, p->y_type, value);
                } else if (p->x_type == THM_INT64 || p->x_type == THM_UINT32) {
                    ((float *)y)[to + i] = (float)value;
                } else {
                    ((float *)y)[to + i] = (float)(int32_t)value;
                }
            }
        }
    }
}

#endif
