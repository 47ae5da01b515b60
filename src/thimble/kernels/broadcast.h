/* Element-wise loops over operands that are broadcast to the shape of y.
 *
 * A kernel over x1 and x2 has these words first in its params (those of x3 too for three operands):
 *   y_ring, x1_ring, x2_ring   rows of each ring; 1 for an operand that is the same in every row
 *   y_row, x1_row, x2_row      elements of one row
 *   outer, inner               y_row = outer * inner; along `inner` an operand has one step
 *   x1_step, x2_step           0 (one element serves all) or 1
 *   rank                       dimensions that `walk` tells how to step through, outermost first:
 *                              their product is `outer`. [rank][1 + operands]: extent, steps
 * Same shapes and scalars have rank 0, walk = 0. `walk` is a const int32 table because params hold
 * no arrays.
 *
 * y may be the memory of an operand that has y's shape: element i is read before it is written.
 */
#ifndef THM_BROADCAST_H
#define THM_BROADCAST_H

#include "thm.h"

#define THM_WALK_RANK 5 /* of 6 dimensions the innermost is the inner loop */

typedef struct {
    int32_t x[3]; /* where the operands stand */
    int32_t index[THM_WALK_RANK];
} thm_walk;

/* One step of the odometer. */
THM_INLINE void thm_walk_next(thm_walk *w, const int32_t *walk, int32_t rank, int32_t operands)
{
    for (int32_t d = rank - 1; d >= 0; d--) {
        const int32_t *dim = walk + d * (1 + operands);
        for (int32_t k = 0; k < operands; k++) {
            w->x[k] += dim[1 + k];
        }
        if (++w->index[d] < dim[0]) {
            return;
        }
        for (int32_t k = 0; k < operands; k++) {
            w->x[k] -= dim[0] * dim[1 + k];
        }
        w->index[d] = 0;
    }
}

/* run(p, x1 + .., x2 + .., y + ..) for each run of `inner` elements of a band. */
#define THM_BINARY_RUNS(run)                                                                      \
    for (int32_t r = y_first; r < y_first + y_count; r++) {                                       \
        int32_t o = thm_ring(r, p->y_ring) * p->y_row;                                            \
        thm_walk w = { { thm_ring(r, p->x1_ring) * p->x1_row,                                     \
                         thm_ring(r, p->x2_ring) * p->x2_row, 0 },                                \
                       { 0 } };                                                                   \
        for (int32_t k = 0; k < p->outer; k++) {                                                  \
            run(p, x1 + w.x[0], x2 + w.x[1], y + o);                                              \
            o += p->inner;                                                                        \
            thm_walk_next(&w, walk, p->rank, 2);                                                  \
        }                                                                                         \
    }

/* out[...] = function(p, x1[...], x2[...]) for the rows of a band, in the body of a kernel. */
#define THM_BINARY_ROWS(function)                                                                 \
    for (int32_t r = y_first; r < y_first + y_count; r++) {                                       \
        int32_t o = thm_ring(r, p->y_ring) * p->y_row;                                            \
        thm_walk w = { { thm_ring(r, p->x1_ring) * p->x1_row,                                     \
                         thm_ring(r, p->x2_ring) * p->x2_row, 0 },                                \
                       { 0 } };                                                                   \
        for (int32_t k = 0; k < p->outer; k++) {                                                  \
            for (int32_t i = 0; i < p->inner; i++) {                                              \
                y[o + i] = function(p, x1[w.x[0] + i * p->x1_step], x2[w.x[1] + i * p->x2_step]); \
            }                                                                                     \
            o += p->inner;                                                                        \
            thm_walk_next(&w, walk, p->rank, 2);                                                  \
        }                                                                                         \
    }

/* The same of three operands. */
#define THM_TERNARY_ROWS(function)                                                                \
    for (int32_t r = y_first; r < y_first + y_count; r++) {                                       \
        int32_t o = thm_ring(r, p->y_ring) * p->y_row;                                            \
        thm_walk w = { { thm_ring(r, p->x1_ring) * p->x1_row,                                     \
                         thm_ring(r, p->x2_ring) * p->x2_row,                                     \
                         thm_ring(r, p->x3_ring) * p->x3_row },                                   \
                       { 0 } };                                                                   \
        for (int32_t k = 0; k < p->outer; k++) {                                                  \
            for (int32_t i = 0; i < p->inner; i++) {                                              \
                y[o + i] = function(x1[w.x[0] + i * p->x1_step], x2[w.x[1] + i * p->x2_step],     \
                                    x3[w.x[2] + i * p->x3_step]);                                 \
            }                                                                                     \
            o += p->inner;                                                                        \
            thm_walk_next(&w, walk, p->rank, 3);                                                  \
        }                                                                                         \
    }

#endif
