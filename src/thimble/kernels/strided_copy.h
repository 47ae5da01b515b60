/* y[r][sum_d i_d * y_step_d] = x[r * row_step + row_first][sum_d i_d * x_step_d], i_d < count_d
 *
 * Slices, transpositions, repetitions and reversals of up to THM_STRIDED_DIMS dimensions: table
 * [dims][count, x_step, y_step], outermost first, steps in bytes (0 repeats, negative runs
 * backwards); `run` contiguous bytes are copied at a time. x_row, y_row, x_start and y_start are
 * bytes. x and y are distinct memories. thm_fill is the same with a single element for x.
 */
#ifndef THM_STRIDED_COPY_H
#define THM_STRIDED_COPY_H

#include "element.h"

#define THM_STRIDED_DIMS 12

typedef struct {
    int32_t dims, run;
    int32_t x_start, x_row, x_ring, row_step, row_first;
    int32_t y_start, y_row, y_ring;
} thm_copy_strided_params;

THM_KERNEL void thm_copy_strided(const thm_copy_strided_params *p, int32_t y_first,
                                 int32_t y_count, const void *x, const int32_t *table, void *y)
{
    const int32_t *inner = table + 3 * (p->dims - 1);
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        int32_t at[THM_STRIDED_DIMS] = { 0 };
        const int32_t x_r = thm_ring(r * p->row_step + p->row_first, p->x_ring);
        int32_t from = p->x_start + x_r * p->x_row;
        int32_t to = p->y_start + thm_ring(r, p->y_ring) * p->y_row;
        int32_t d;
        do {
            for (int32_t i = 0; i < inner[0]; i++) {
                thm_copy_run((uint8_t *)y + to + i * inner[2],
                             (const uint8_t *)x + from + i * inner[1], p->run);
            }
            for (d = p->dims - 2; d >= 0; d--) {
                from += table[3 * d + 1];
                to += table[3 * d + 2];
                at[d]++;
                if (at[d] < table[3 * d]) {
                    break;
                }
                from -= at[d] * table[3 * d + 1];
                to -= at[d] * table[3 * d + 2];
                at[d] = 0;
            }
        } while (d >= 0);
    }
}

typedef struct {
    int32_t item, bytes; /* of one element, of y */
} thm_fill_params;

THM_KERNEL void thm_fill(const thm_fill_params *p, int32_t y_first, int32_t y_count,
                         const void *value, void *y)
{
    (void)y_first;
    (void)y_count;
    thm_fill_run((uint8_t *)y, (const uint8_t *)value, p->item, p->bytes);
}

#endif
