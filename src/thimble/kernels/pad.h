/* y[r][y_start + b * y_step + i] = x[r - pad_top][b * block + i], everything else in y is
 * `value`
 *
 * A row of x is `blocks` blocks of `block` bytes, which lie y_step bytes apart in y. All sizes
 * are bytes, except rings, x_rows and pad_top, which are rows. `value` is one element of `item`
 * bytes. x and y are distinct.
 */
#ifndef THM_PAD_H
#define THM_PAD_H

#include "element.h"

typedef struct {
    int32_t item, blocks, block;
    int32_t x_rows, x_ring;
    int32_t y_start, y_step, y_row, y_ring;
    int32_t pad_top;
} thm_pad_params;

THM_KERNEL void thm_pad(const thm_pad_params *p, int32_t y_first, int32_t y_count, const void *x,
                        const void *value, void *y)
{
    const uint8_t *element = (const uint8_t *)value;
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        uint8_t *to = (uint8_t *)y + thm_ring(r, p->y_ring) * p->y_row;
        const int32_t x_r = r - p->pad_top;
        if (x_r < 0 || x_r >= p->x_rows) {
            thm_fill_run(to, element, p->item, p->y_row);
            continue;
        }
        const uint8_t *from = (const uint8_t *)x + thm_ring(x_r, p->x_ring) * p->blocks * p->block;
        int32_t done = 0;
        for (int32_t b = 0; b < p->blocks; b++) {
            const int32_t at = p->y_start + b * p->y_step;
            thm_fill_run(to + done, element, p->item, at - done);
            thm_copy_run(to + at, from + b * p->block, p->block);
            done = at + p->block;
        }
        thm_fill_run(to + done, element, p->item, p->y_row - done);
    }
}

#endif
