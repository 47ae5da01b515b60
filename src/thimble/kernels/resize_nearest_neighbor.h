/* y[r][c] = x[source_row[r]][source_column[c]]
 *
 * x [in_h][in_w][pixel bytes], y [.][out_w][pixel bytes]; x and y are distinct.
 */
#ifndef THM_RESIZE_NEAREST_NEIGHBOR_H
#define THM_RESIZE_NEAREST_NEIGHBOR_H

#include "element.h"

typedef struct {
    int32_t in_w, out_w, pixel; /* bytes of a pixel */
    int32_t x_ring, y_ring;
} thm_resize_nearest_neighbor_params;

THM_KERNEL void thm_resize_nearest_neighbor(const thm_resize_nearest_neighbor_params *p,
                                            int32_t y_first, int32_t y_count, const void *x,
                                            const int32_t *source_row,
                                            const int32_t *source_column, void *y)
{
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const uint8_t *from = (const uint8_t *)x;
        from += thm_ring(source_row[r], p->x_ring) * p->in_w * p->pixel;
        uint8_t *to = (uint8_t *)y + thm_ring(r, p->y_ring) * p->out_w * p->pixel;
        for (int32_t c = 0; c < p->out_w; c++) {
            thm_copy_run(to + c * p->pixel, from + source_column[c] * p->pixel, p->pixel);
        }
    }
}

#endif
