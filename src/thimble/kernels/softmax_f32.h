/* y[i] = exp(beta * (x[i] - max)) / sum over j of exp(beta * (x[j] - max)), of each vector [depth]
 *
 * A row of x and y is [vectors][depth]. y may be exactly x.
 */
#ifndef THM_SOFTMAX_F32_H
#define THM_SOFTMAX_F32_H

#include <math.h>

#include "thm.h"

typedef struct {
    int32_t vectors, depth, x_ring, y_ring;
    float beta;
} thm_softmax_f32_params;

THM_KERNEL void thm_softmax_f32(const thm_softmax_f32_params *p, int32_t y_first, int32_t y_count,
                                const float *x, float *y)
{
    const int32_t row = p->vectors * p->depth;
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const float *from = x + thm_ring(r, p->x_ring) * row;
        float *to = y + thm_ring(r, p->y_ring) * row;
        for (int32_t v = 0; v < p->vectors; v++, from += p->depth, to += p->depth) {
            float max = from[0], sum = 0.0f;
            for (int32_t i = 1; i < p->depth; i++) {
                max = max < from[i] ? from[i] : max;
            }
            for (int32_t i = 0; i < p->depth; i++) {
                to[i] = expf((from[i] - max) * p->beta);
                sum += to[i];
            }
            for (int32_t i = 0; i < p->depth; i++) {
                to[i] /= sum;
            }
        }
    }
}

#endif
