/* y[o][i] = index k of the largest or smallest x[o][k][i], the lowest of several
 *
 * A row of x is [outer][depth][inner], a row of y [outer][inner].
 */
#ifndef THM_ARG_MAX_H
#define THM_ARG_MAX_H

#include "thm.h"

typedef struct {
    int32_t outer, depth, inner, x_ring, y_ring;
} thm_arg_max_s8_params;

THM_KERNEL void thm_arg_max_s8(const thm_arg_max_s8_params *p, int32_t y_first, int32_t y_count,
                               const int8_t *x, int32_t *y)
{
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const int8_t *from = x + thm_ring(r, p->x_ring) * p->outer * p->depth * p->inner;
        int32_t *to = y + thm_ring(r, p->y_ring) * p->outer * p->inner;
        for (int32_t o = 0; o < p->outer; o++, from += p->depth * p->inner) {
            for (int32_t i = 0; i < p->inner; i++, to++) {
                int8_t best = from[i];
                int32_t index = 0;
                for (int32_t k = 1; k < p->depth; k++) {
                    const int8_t value = from[k * p->inner + i];
                    if (value > best) {
                        best = value;
                        index = k;
                    }
                }
                *to = index;
            }
        }
    }
}

typedef struct {
    int32_t outer, depth, inner, x_ring, y_ring;
} thm_arg_min_s8_params;

THM_KERNEL void thm_arg_min_s8(const thm_arg_min_s8_params *p, int32_t y_first, int32_t y_count,
                               const int8_t *x, int32_t *y)
{
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const int8_t *from = x + thm_ring(r, p->x_ring) * p->outer * p->depth * p->inner;
        int32_t *to = y + thm_ring(r, p->y_ring) * p->outer * p->inner;
        for (int32_t o = 0; o < p->outer; o++, from += p->depth * p->inner) {
            for (int32_t i = 0; i < p->inner; i++, to++) {
                int8_t best = from[i];
                int32_t index = 0;
                for (int32_t k = 1; k < p->depth; k++) {
                    const int8_t value = from[k * p->inner + i];
                    if (value < best) {
                        best = value;
                        index = k;
                    }
                }
                *to = index;
            }
        }
    }
}

typedef struct {
    int32_t outer, depth, inner, x_ring, y_ring;
} thm_arg_max_s16_params;

THM_KERNEL void thm_arg_max_s16(const thm_arg_max_s16_params *p, int32_t y_first, int32_t y_count,
                                const int16_t *x, int32_t *y)
{
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const int16_t *from = x + thm_ring(r, p->x_ring) * p->outer * p->depth * p->inner;
        int32_t *to = y + thm_ring(r, p->y_ring) * p->outer * p->inner;
        for (int32_t o = 0; o < p->outer; o++, from += p->depth * p->inner) {
            for (int32_t i = 0; i < p->inner; i++, to++) {
                int16_t best = from[i];
                int32_t index = 0;
                for (int32_t k = 1; k < p->depth; k++) {
                    const int16_t value = from[k * p->inner + i];
                    if (value > best) {
                        best = value;
                        index = k;
                    }
                }
                *to = index;
            }
        }
    }
}

typedef struct {
    int32_t outer, depth, inner, x_ring, y_ring;
} thm_arg_min_s16_params;

THM_KERNEL void thm_arg_min_s16(const thm_arg_min_s16_params *p, int32_t y_first, int32_t y_count,
                                const int16_t *x, int32_t *y)
{
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const int16_t *from = x + thm_ring(r, p->x_ring) * p->outer * p->depth * p->inner;
        int32_t *to = y + thm_ring(r, p->y_ring) * p->outer * p->inner;
        for (int32_t o = 0; o < p->outer; o++, from += p->depth * p->inner) {
            for (int32_t i = 0; i < p->inner; i++, to++) {
                int16_t best = from[i];
                int32_t index = 0;
                for (int32_t k = 1; k < p->depth; k++) {
                    const int16_t value = from[k * p->inner + i];
                    if (value < best) {
                        best = value;
                        index = k;
                    }
                }
                *to = index;
            }
        }
    }
}

typedef struct {
    int32_t outer, depth, inner, x_ring, y_ring;
} thm_arg_max_f32_params;

THM_KERNEL void thm_arg_max_f32(const thm_arg_max_f32_params *p, int32_t y_first, int32_t y_count,
                                const float *x, int32_t *y)
{
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const float *from = x + thm_ring(r, p->x_ring) * p->outer * p->depth * p->inner;
        int32_t *to = y + thm_ring(r, p->y_ring) * p->outer * p->inner;
        for (int32_t o = 0; o < p->outer; o++, from += p->depth * p->inner) {
            for (int32_t i = 0; i < p->inner; i++, to++) {
                float best = from[i];
                int32_t index = 0;
                for (int32_t k = 1; k < p->depth; k++) {
                    const float value = from[k * p->inner + i];
                    if (value > best) {
                        best = value;
                        index = k;
                    }
                }
                *to = index;
            }
        }
    }
}

typedef struct {
    int32_t outer, depth, inner, x_ring, y_ring;
} thm_arg_min_f32_params;

THM_KERNEL void thm_arg_min_f32(const thm_arg_min_f32_params *p, int32_t y_first, int32_t y_count,
                                const float *x, int32_t *y)
{
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const float *from = x + thm_ring(r, p->x_ring) * p->outer * p->depth * p->inner;
        int32_t *to = y + thm_ring(r, p->y_ring) * p->outer * p->inner;
        for (int32_t o = 0; o < p->outer; o++, from += p->depth * p->inner) {
            for (int32_t i = 0; i < p->inner; i++, to++) {
                float best = from[i];
                int32_t index = 0;
                for (int32_t k = 1; k < p->depth; k++) {
                    const float value = from[k * p->inner + i];
                    if (value < best) {
                        best = value;
                        index = k;
                    }
                }
                *to = index;
            }
        }
    }
}

#endif
