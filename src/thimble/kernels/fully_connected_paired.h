/* y[n][o] = clamp(requantize(sum_k w[o][k] * (x[n][k] - x_zero) + bias[o]) + y_zero)
 *
 * FULLY_CONNECTED for the DSP extension: weights in pairs of outputs (arch/pairs.h), the input offset
 * folded into the biases, bias, multiplier and shift in records (arch/dsp.h).
 * x [batch][depth], y [batch][outputs]; rows are batches.
 */
#ifndef THM_FULLY_CONNECTED_PAIRED_H
#define THM_FULLY_CONNECTED_PAIRED_H

#include "arch/pairs.h"

typedef struct {
    int32_t depth, outputs;
    int32_t output_offset, act_min, act_max;
} thm_fully_connected_paired_s8_params;

/* w [outputs / 4][depth / 4][8]; records [outputs][2], zeros up to four outputs; depth at most
 * 2 * THM_PAIR_WORDS. */
THM_KERNEL void thm_fully_connected_paired_s8(const thm_fully_connected_paired_s8_params *p,
                                              int32_t y_first, int32_t y_count, const int8_t *x,
                                              const int32_t *w, const int32_t *records, int8_t *y)
{
    int32_t words[THM_PAIR_WORDS];
    const int32_t center = 2 * p->output_offset + 1;
    for (int32_t row = y_first; row < y_first + y_count; row++) {
        const int8_t *from = x + row * p->depth;
        int8_t *to = y + row * p->outputs;
        const int32_t *end = thm_widen(from, p->depth, words, 1);
        thm_pairs_outputs(w, words, end, records, p->outputs, center, 1, to, 0);
        thm_clamp_row(to, p->outputs, p->act_min, p->act_max);
    }
}

typedef thm_fully_connected_paired_s8_params thm_fully_connected_deep_s8_params;

/* The same for any depth: in chunks, widened again for each four outputs. */
THM_KERNEL void thm_fully_connected_deep_s8(const thm_fully_connected_paired_s8_params *p,
                                            int32_t y_first, int32_t y_count, const int8_t *x,
                                            const int32_t *w, const int32_t *records, int8_t *y)
{
    int32_t words[THM_PAIR_WORDS];
    for (int32_t row = y_first; row < y_first + y_count; row++) {
        const int8_t *from = x + row * p->depth;
        int8_t *to = y + row * p->outputs;
        const int32_t *w_next = w;
        for (int32_t o = 0; o < p->outputs; o += 4) {
            int32_t sums[4];
            thm_pairs_start(sums, records + 2 * o);
            for (int32_t k = 0; k < p->depth; k += THM_DEEP_PRODUCTS) {
                const int32_t count = thm_min(THM_DEEP_PRODUCTS, p->depth - k);
                const int32_t *end = thm_widen(from + k, count, words, 1);
                w_next = thm_pairs_add(sums, w_next, words, end, 1);
            }
            thm_pairs_store(sums, records + 2 * o, 2 * p->output_offset + 1, to + o,
                              p->outputs - o);
        }
        thm_clamp_row(to, p->outputs, p->act_min, p->act_max);
    }
}

#endif
