/* Between real numbers and their quantized form, and from one quantized form to another. */
#ifndef THM_QUANTIZE_H
#define THM_QUANTIZE_H

#include "element.h"
#include "fixedpoint.h"

typedef struct {
    int32_t row, y_type; /* elements of a row, thm_dtype */
    float scale;
    int32_t output_offset, act_min, act_max;
    int32_t x_ring, y_ring;
} thm_quantize_f32_params;

/* y = clamp(round(x / scale) + output_offset), halves away from zero; NaN gives act_min. Clamped
 * before it is rounded, so that nothing overflows. y may be x. */
THM_KERNEL void thm_quantize_f32(const thm_quantize_f32_params *p, int32_t y_first,
                                 int32_t y_count, const float *x, void *y)
{
    const float low = (float)(p->act_min - p->output_offset);
    const float high = (float)(p->act_max - p->output_offset);
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const int32_t from = thm_ring(r, p->x_ring) * p->row;
        const int32_t to = thm_ring(r, p->y_ring) * p->row;
        for (int32_t i = 0; i < p->row; i++) {
            float q = x[from + i] / p->scale;
            q = q > low ? q : low;
            q = q < high ? q : high;
            int32_t whole = (int32_t)q;
            const float rest = q - (float)whole;
            whole += rest >= 0.5f ? 1 : 0;
            whole -= rest <= -0.5f ? 1 : 0;
            thm_store_int(y, to + i, p->y_type, whole + p->output_offset);
        }
    }
}

typedef struct {
    int32_t row, x_type, y_type;
    int32_t input_offset, multiplier, shift, output_offset, act_min, act_max;
    int32_t x_ring, y_ring;
} thm_quantize_int_params;

/* y = clamp(requantize(x + input_offset) + output_offset). y may be x where its elements are no
 * wider. */
THM_KERNEL void thm_quantize_int(const thm_quantize_int_params *p, int32_t y_first,
                                 int32_t y_count, const void *x, void *y)
{
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const int32_t from = thm_ring(r, p->x_ring) * p->row;
        const int32_t to = thm_ring(r, p->y_ring) * p->row;
        for (int32_t i = 0; i < p->row; i++) {
            const uint32_t q = (uint32_t)thm_load_int(x, from + i, p->x_type);
            const int32_t real = (int32_t)(q + (uint32_t)p->input_offset);
            int64_t value = thm_requantize(real, p->multiplier, p->shift);
            value += p->output_offset;
            value = value < p->act_min ? p->act_min : value;
            value = value > p->act_max ? p->act_max : value;
            thm_store_int(y, to + i, p->y_type, value);
        }
    }
}

#endif
