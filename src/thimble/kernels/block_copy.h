/* y[r][b * y_step + i] = x[r - row_shift][b * x_step + i], i < block, b < blocks
 *
 * One input of CONCATENATION or PACK, one output of SPLIT or UNPACK. All words are bytes, except
 * row_shift, the rings and x_rows, which are rows. Output rows that x has no row for are left
 * alone: another call writes them. x and y are distinct memories.
 */
#ifndef THM_BLOCK_COPY_H
#define THM_BLOCK_COPY_H

#include "element.h"

typedef struct {
    int32_t blocks, block;
    int32_t x_start, x_step, x_row, x_ring, x_rows;
    int32_t y_start, y_step, y_row, y_ring;
    int32_t row_shift;
} thm_copy_blocks_params;

THM_KERNEL void thm_copy_blocks(const thm_copy_blocks_params *p, int32_t y_first, int32_t y_count,
                                const void *x, void *y)
{
    const int32_t first = thm_max(y_first, p->row_shift);
    const int32_t last = thm_min(y_first + y_count, p->row_shift + p->x_rows);
    for (int32_t r = first; r < last; r++) {
        const uint8_t *from = (const uint8_t *)x + p->x_start;
        uint8_t *to = (uint8_t *)y + p->y_start;
        from += thm_ring(r - p->row_shift, p->x_ring) * p->x_row;
        to += thm_ring(r, p->y_ring) * p->y_row;
        for (int32_t b = 0; b < p->blocks; b++) {
            thm_copy_run(to + b * p->y_step, from + b * p->x_step, p->block);
        }
    }
}

#endif
