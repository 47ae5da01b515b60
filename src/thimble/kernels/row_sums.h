/* Layers that need their whole input but only its sums: rows are added up as they come, so that the
 * input may be a ring. Each is a kernel that adds rows [y_first, y_first + y_count) of x to `acc` (row 0
 * starts it) and one that turns acc into the output.
 */
#ifndef THM_ROW_SUMS_H
#define THM_ROW_SUMS_H

#include "arch/sums.h"

typedef struct {
    int32_t in_w, channels, x_ring;
} thm_row_sums_s8_params;

/* acc[c] = sum over the image of x[iy][ix][c]; x [in_h][in_w][channels] */
THM_KERNEL void thm_row_sums_s8(const thm_row_sums_s8_params *p, int32_t y_first, int32_t y_count,
                                const int8_t *x, int32_t *acc)
{
    if (y_first == 0) {
        memset(acc, 0, (size_t)p->channels * sizeof *acc);
    }
    const int32_t y_end = y_first + y_count;
    for (int32_t r = y_first, rows; r < y_end; r += rows) {
        const int32_t slot = thm_ring(r, p->x_ring);
        rows = thm_min(y_end - r, p->x_ring - slot);
        thm_sum_columns_s8(acc, x + slot * p->in_w * p->channels, p->channels, rows * p->in_w);
    }
}

typedef struct {
    int32_t channels, count, act_min, act_max;
} thm_average_of_sums_s8_params;

/* y[c] = clamp(acc[c] / count, rounded half away from zero): AVERAGE_POOL_2D over a whole image */
THM_KERNEL void thm_average_of_sums_s8(const thm_average_of_sums_s8_params *p, int32_t y_first,
                                       int32_t y_count, const int32_t *acc, int8_t *y)
{
    (void)y_first;
    (void)y_count;
    for (int32_t c = 0; c < p->channels; c++) {
        const int32_t half = acc[c] > 0 ? p->count / 2 : -(p->count / 2);
        y[c] = (int8_t)thm_clamp((acc[c] + half) / p->count, p->act_min, p->act_max);
    }
}

typedef struct {
    int32_t depth, outputs, x_ring;
} thm_fully_connected_rows_s8_params;

/* acc[o] = bias[o] + sum over rows r of w[r][o][k] * x[r][k]; depth is the length of a row */
THM_KERNEL void thm_fully_connected_rows_s8(const thm_fully_connected_rows_s8_params *p,
                                            int32_t y_first, int32_t y_count, const int8_t *x,
                                            const int8_t *w, const int32_t *bias, int32_t *acc)
{
    if (y_first == 0) {
        memcpy(acc, bias, (size_t)p->outputs * sizeof *acc);
    }
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const int8_t *v = x + thm_ring(r, p->x_ring) * p->depth;
        const int8_t *w_row = w + r * p->outputs * p->depth;
        int32_t o = 0;
        for (; o + 4 <= p->outputs; o += 4) {
            thm_dot_four_s8(acc + o, w_row + o * p->depth, v, p->depth);
        }
        for (; o < p->outputs; o++) {
            thm_dot_s8(acc + o, w_row + o * p->depth, v, p->depth);
        }
    }
}

typedef struct {
    int32_t outputs, output_offset, act_min, act_max, per_channel;
} thm_requantize_sums_s8_params;

/* y[o] = clamp(requantize(acc[o]) + output_offset) */
THM_KERNEL void thm_requantize_sums_s8(const thm_requantize_sums_s8_params *p, int32_t y_first,
                                       int32_t y_count, const int32_t *acc,
                                       const int32_t *multiplier, const int8_t *shift, int8_t *y)
{
    (void)y_first;
    (void)y_count;
    for (int32_t o = 0; o < p->outputs; o++) {
        const int32_t c = p->per_channel ? o : 0;
        const int32_t q = thm_requantize(acc[o], multiplier[c], shift[c]) + p->output_offset;
        y[o] = (int8_t)thm_clamp(q, p->act_min, p->act_max);
    }
}

#endif
