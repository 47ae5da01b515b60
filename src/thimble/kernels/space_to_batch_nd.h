/* Pixels dealt out to batches, and back:
 *
 * space_to_batch: y[(i * block_w + j) * batch + n][h][w] =
 *                 x[n][h * block_h + i - pad_top][w * block_w + j - pad_left], or `value` outside x
 * batch_to_space: the inverse, less pad_top rows and pad_left columns in y
 *
 * `pixel` and `item` are bytes of a pixel and of the element at `value`. x and y are distinct.
 */
#ifndef THM_SPACE_TO_BATCH_ND_H
#define THM_SPACE_TO_BATCH_ND_H

#include "element.h"

typedef struct {
    int32_t batch, in_h, in_w, out_h, out_w;
    int32_t block_h, block_w, pad_top, pad_left;
    int32_t pixel, item;
} thm_space_to_batch_params;

THM_KERNEL void thm_space_to_batch(const thm_space_to_batch_params *p, int32_t y_first,
                                   int32_t y_count, const void *x, const void *value, void *y)
{
    (void)y_first;
    (void)y_count;
    uint8_t *to = (uint8_t *)y;
    for (int32_t b = 0; b < p->block_h * p->block_w * p->batch; b++) {
        const int32_t n = b % p->batch;
        const int32_t top = b / p->batch / p->block_w - p->pad_top;
        const int32_t left = b / p->batch % p->block_w - p->pad_left;
        for (int32_t h = 0; h < p->out_h; h++) {
            const int32_t r = h * p->block_h + top;
            for (int32_t w = 0; w < p->out_w; w++) {
                const int32_t c = w * p->block_w + left;
                if (r < 0 || r >= p->in_h || c < 0 || c >= p->in_w) {
                    thm_fill_run(to, (const uint8_t *)value, p->item, p->pixel);
                } else {
                    const int32_t at = (n * p->in_h + r) * p->in_w + c;
                    thm_copy_run(to, (const uint8_t *)x + at * p->pixel, p->pixel);
                }
                to += p->pixel;
            }
        }
    }
}

typedef struct {
    int32_t batch, in_h, in_w, out_h, out_w;
    int32_t block_h, block_w, pad_top, pad_left;
    int32_t pixel;
} thm_batch_to_space_params;

/* in_h and in_w are those of x, batch is that of y. */
THM_KERNEL void thm_batch_to_space(const thm_batch_to_space_params *p, int32_t y_first,
                                   int32_t y_count, const void *x, void *y)
{
    (void)y_first;
    (void)y_count;
    uint8_t *to = (uint8_t *)y;
    for (int32_t n = 0; n < p->batch; n++) {
        for (int32_t h = 0; h < p->out_h; h++) {
            const int32_t r = h + p->pad_top;
            for (int32_t w = 0; w < p->out_w; w++) {
                const int32_t c = w + p->pad_left;
                const int32_t phase = r % p->block_h * p->block_w + c % p->block_w;
                const int32_t row = (phase * p->batch + n) * p->in_h + r / p->block_h;
                const int32_t at = row * p->in_w + c / p->block_w;
                thm_copy_run(to, (const uint8_t *)x + at * p->pixel, p->pixel);
                to += p->pixel;
            }
        }
    }
}

#endif
