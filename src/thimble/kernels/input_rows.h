/* thm_input_rows: y[r] = x[r], takes rows of a model input into the ring that the first layers read.
 * thm_window_rows: y[i] = x[y_first + i], i < y_count, lays rows of a ring out as a whole tensor. */
#ifndef THM_INPUT_ROWS_H
#define THM_INPUT_ROWS_H

#include "thm.h"

typedef struct {
    int32_t row_bytes, y_ring;
} thm_input_rows_params;

THM_KERNEL void thm_input_rows(const thm_input_rows_params *p, int32_t y_first, int32_t y_count,
                               const void *x, void *y)
{
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        memcpy((uint8_t *)y + thm_ring(r, p->y_ring) * p->row_bytes,
               (const uint8_t *)x + r * p->row_bytes, (size_t)p->row_bytes);
    }
}

typedef struct {
    int32_t row_bytes, x_ring;
} thm_window_rows_params;

THM_KERNEL void thm_window_rows(const thm_window_rows_params *p, int32_t y_first, int32_t y_count,
                                const void *x, void *y)
{
    for (int32_t i = 0; i < y_count; i++) {
        memcpy((uint8_t *)y + i * p->row_bytes,
               (const uint8_t *)x + thm_ring(y_first + i, p->x_ring) * p->row_bytes,
               (size_t)p->row_bytes);
    }
}

#endif
