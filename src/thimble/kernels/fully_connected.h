/* y[n][o] = clamp(requantize(sum_k w[o][k] * (x[n][k] - x_zero) + bias[o]) + y_zero)
 *
 * x [batch][depth], w [outputs][depth], y [batch][outputs]; rows are batches.
 */
#ifndef THM_FULLY_CONNECTED_H
#define THM_FULLY_CONNECTED_H

#include "arch/arch.h"

typedef struct {
    int32_t depth, outputs;
    int32_t output_offset, act_min, act_max;
    int32_t per_channel; /* 0: multiplier[0], shift[0] serve every output */
    int32_t oc_block, k_block;
} thm_fully_connected_s8_params;

/* w packed (one segment of `depth`), bias with the input offset folded in. */
THM_KERNEL void thm_fully_connected_s8(const thm_fully_connected_s8_params *p, int32_t y_first,
                                       int32_t y_count, const int8_t *x, const int8_t *w,
                                       const int32_t *bias, const int32_t *multiplier,
                                       const int8_t *shift, int8_t *y)
{
    const thm_tile t = {
        .x = x + y_first * p->depth,
        .x_step = p->depth,
        .segments = 1,
        .length = p->depth,
        .w = w,
        .bias = bias,
        .multiplier = multiplier,
        .shift = shift,
        .per_channel = p->per_channel,
        .outputs = p->outputs,
        .oc_block = p->oc_block,
        .k_block = p->k_block,
        .output_offset = p->output_offset,
        .act_min = p->act_min,
        .act_max = p->act_max,
        .y = y + y_first * p->outputs,
        .y_step = p->outputs,
    };
    thm_tile_s8(t, y_count);
}

typedef struct {
    int32_t depth, outputs;
    int32_t input_offset, output_offset, act_min, act_max;
    int32_t per_channel;
} thm_fully_connected_runtime_s8_params;

/* Weights that are computed at run time: w [outputs][depth] as it is, input_offset = -x_zero. */
THM_KERNEL void thm_fully_connected_runtime_s8(const thm_fully_connected_runtime_s8_params *p,
                                               int32_t y_first, int32_t y_count, const int8_t *x,
                                               const int8_t *w, const int32_t *bias,
                                               const int32_t *multiplier, const int8_t *shift,
                                               int8_t *y)
{
    for (int32_t n = y_first; n < y_first + y_count; n++) {
        for (int32_t o = 0; o < p->outputs; o++) {
            const int32_t c = p->per_channel ? o : 0;
            const int8_t *w_o = w + o * p->depth;
            int32_t acc = bias[o] + p->input_offset * thm_sum_s8(w_o, p->depth);
            thm_dot_s8(&acc, w_o, x + n * p->depth, p->depth);
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
                                        const int8_t *shift, int16_t *y)
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
