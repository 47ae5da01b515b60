/* y[b][o][i] = x[b][o][index[b][i]], elements of `inner` bytes
 *
 * x [groups][outer][size], index [groups][count], y [groups][outer][count]. Indices outside [0,
 * size) are clamped, so that no index read from a sensor can reach other memory. x and y are
 * distinct.
 */
#ifndef THM_GATHER_H
#define THM_GATHER_H

#include "element.h"

typedef struct {
    int32_t groups, outer, size, count, inner;
} thm_gather_params;

THM_KERNEL void thm_gather(const thm_gather_params *p, int32_t y_first, int32_t y_count,
                           const void *x, const int32_t *index, void *y)
{
    (void)y_first;
    (void)y_count;
    const uint8_t *from = (const uint8_t *)x;
    uint8_t *to = (uint8_t *)y;
    for (int32_t b = 0; b < p->groups; b++) {
        for (int32_t o = 0; o < p->outer; o++) {
            for (int32_t i = 0; i < p->count; i++) {
                const int32_t at = thm_clamp(index[b * p->count + i], 0, p->size - 1);
                thm_copy_run(to, from + at * p->inner, p->inner);
                to += p->inner;
            }
            from += p->size * p->inner;
        }
    }
}

#endif
