/* Copies of the input rows that windows reach, with x_zero where they reach beyond the image: a ring of
 * span rows [columns][depth], so that no window that reads the copies crosses a border. */
#ifndef THM_PADDED_ROWS_H
#define THM_PADDED_ROWS_H

#include "thm.h"

typedef struct {
    int32_t in_h, in_w, in_c, x_ring, x_channel, depth;
    int32_t pad_top, pad_left, x_zero;
    int32_t columns; /* of a copied row, the first of them column -pad_left of the image */
    int32_t span;    /* rows of the ring */
} thm_padded_rows;

THM_INLINE void thm_padded_row(const thm_padded_rows *g, const int8_t *x, int32_t sy, int8_t *to)
{
    const int32_t bytes = g->columns * g->depth;
    const int32_t width = thm_min(g->in_w, g->columns - g->pad_left);
    if (sy < 0 || sy >= g->in_h) {
        memset(to, g->x_zero, (size_t)bytes);
        return;
    }
    const int8_t *from = x + thm_ring(sy, g->x_ring) * g->in_w * g->in_c + g->x_channel;
    memset(to, g->x_zero, (size_t)(g->pad_left * g->depth));
    to += g->pad_left * g->depth;
    if (g->depth == g->in_c) {
        memcpy(to, from, (size_t)(width * g->depth));
    } else {
        for (int32_t i = 0; i < width; i++) {
            memcpy(to + i * g->depth, from + i * g->in_c, (size_t)g->depth);
        }
    }
    to += width * g->depth;
    memset(to, g->x_zero, (size_t)(bytes - (g->pad_left + width) * g->depth));
}

/* Copies rows [next, iy + span) of the image that the ring does not hold yet; returns the row after. */
THM_INLINE int32_t thm_padded_rows_until(const thm_padded_rows *g, const int8_t *x, int32_t next,
                                         int32_t iy, int8_t *ring)
{
    for (next = thm_max(next, iy); next < iy + g->span; next++) {
        thm_padded_row(g, x, next, ring + (next + g->pad_top) % g->span * g->columns * g->depth);
    }
    return next;
}

#endif
