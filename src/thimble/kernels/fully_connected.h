/* y[n][o] = clamp(requantize(sum_k w[o][k] * x[n][k] + bias[o]) + output_offset)
 *
 * x [batch][depth], w [outputs][depth], y [batch][outputs]. Where w is a constant the input offset is folded
 * into the bias at compile time and input_offset is 0.
 */
#ifndef THM_FULLY_CONNECTED_H
#define THM_FULLY_CONNECTED_H

#include "arch/scalar.h"
#include "fixedpoint.h"

typedef struct {
    int32_t depth, outputs;
    int32_t input_offset, output_offset, act_min, act_max;
    int32_t per_channel; /* 0: multiplier[0], shift[0] serve every output */
} thm_fully_connected_s8_params;

/* w int8 (or int8 that was int4), bias int32 with the input offset folded in. */
THM_KERNEL void thm_fully_connected_s8(const thm_fully_connected_s8_params *p, int32_t y_first,
                                       int32_t y_count, const int8_t *x, const int8_t *w,
                                       const int32_t *bias, const int32_t *multiplier,
                                       const int32_t *shift, int8_t *y)
{
    for (int32_t n = y_first; n < y_first + y_count; n++) {
        for (int32_t o = 0; o < p->outputs; o++) {
            const int32_t c = p->per_channel ? o : 0;
            int32_t acc = bias[o];
            thm_dot_s8(&acc, w + o * p->depth, x + n * p->depth, p->depth);
            if (p->input_offset != 0) {
                acc += p->input_offset * thm_sum_s8(w + o * p->depth, p->depth);
            }
            acc = thm_requantize(acc, multiplier[c], shift[c]) + p->output_offset;
            y[n * p->outputs + o] = (int8_t)thm_clamp(acc, p->act_min, p->act_max);
        }
    }
}

typedef struct {
    int32_t depth, outputs;
    int32_t act_min, act_max;
    int32_t per_channel;
    int32_t wide; /* 1: int64 accumulator and 16-bit multiplier, 0: the file's bias is int32 */
} thm_fully_connected_s16_params;

/* x, y int16 with zero point 0, bias int64 (also where the file's is int32). */
THM_KERNEL void thm_fully_connected_s16(const thm_fully_connected_s16_params *p, int32_t y_first,
                                        int32_t y_count, const int16_t *x, const int8_t *w,
                                        const int64_t *bias, const int32_t *multiplier,
                                        const int32_t *shift, int16_t *y)
{
    for (int32_t n = y_first; n < y_first + y_count; n++) {
        for (int32_t o = 0; o < p->outputs; o++) {
            const int32_t c = p->per_channel ? o : 0;
            int64_t acc = bias[o];
            thm_dot_s16(&acc, w + o * p->depth, x + n * p->depth, p->depth);
            const int32_t q = p->wide ? thm_requantize64(acc, multiplier[c], shift[c])
                                      : thm_requantize((int32_t)acc, multiplier[c], shift[c]);
            y[n * p->outputs + o] = (int16_t)thm_clamp(q, p->act_min, p->act_max);
        }
    }
}

typedef struct {
    int32_t depth, outputs;
    float act_min, act_max;
} thm_fully_connected_f32_params;

/* Accumulates k ascending, bias last, as TFLM's reference does. */
THM_KERNEL void thm_fully_connected_f32(const thm_fully_connected_f32_params *p, int32_t y_first,
                                        int32_t y_count, const float *x, const float *w,
                                        const float *bias, float *y)
{
    for (int32_t n = y_first; n < y_first + y_count; n++) {
        for (int32_t o = 0; o < p->outputs; o++) {
            float acc = 0.0f;
            for (int32_t k = 0; k < p->depth; k++) {
                acc += x[n * p->depth + k] * w[o * p->depth + k];
            }
            y[n * p->outputs + o] = thm_clamp_f32(acc + bias[o], p->act_min, p->act_max);
        }
    }
}

#endif
