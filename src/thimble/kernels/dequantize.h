/* y = scale * (x - zero_point), one rounding: x - zero_point is exact in float for 8 and 16
 * bits. */
#ifndef THM_DEQUANTIZE_H
#define THM_DEQUANTIZE_H

#include "element.h"

typedef struct {
    int32_t row, x_type; /* elements of a row, thm_dtype */
    int32_t input_offset;
    float scale;
    int32_t x_ring, y_ring;
} thm_dequantize_params;

THM_KERNEL void thm_dequantize(const thm_dequantize_params *p, int32_t y_first, int32_t y_count,
                               const void *x, float *y)
{
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const int32_t from = thm_ring(r, p->x_ring) * p->row;
        const int32_t to = thm_ring(r, p->y_ring) * p->row;
        for (int32_t i = 0; i < p->row; i++) {
            const int32_t q = (int32_t)thm_load_int(x, from + i, p->x_type) + p->input_offset;
            y[to + i] = p->scale * (float)q;
        }
    }
}

typedef struct {
    int32_t row, x_type;
    int32_t channels, inner; /* element i of the whole tensor is of channel i / inner % channels */
    int32_t x_ring, y_ring;
} thm_dequantize_channels_params;

/* The same with scale [channels] and zero_point [channels] along any axis. */
THM_KERNEL void thm_dequantize_channels(const thm_dequantize_channels_params *p, int32_t y_first,
                                        int32_t y_count, const void *x, const float *scale,
                                        const int32_t *zero_point, float *y)
{
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const int32_t from = thm_ring(r, p->x_ring) * p->row;
        const int32_t to = thm_ring(r, p->y_ring) * p->row;
        for (int32_t i = 0; i < p->row; i++) {
            const int32_t c = (r * p->row + i) / p->inner % p->channels;
            const int32_t q = (int32_t)thm_load_int(x, from + i, p->x_type) - zero_point[c];
            y[to + i] = scale[c] * (float)q;
        }
    }
}

#endif
