/* A tile: all outputs of a few adjacent positions, the matrix product at the heart of CONV_2D and
 * FULLY_CONNECTED. Position n reads `segments` runs of `length` bytes, the first at x + n * x_step. */
#ifndef THM_ARCH_TILE_H
#define THM_ARCH_TILE_H

#include "../fixedpoint.h"

typedef struct {
    const int8_t *x;
    int32_t x_step;              /* bytes from position to position */
    int32_t segments, length;    /* rows of the filter, products in a row */
    int32_t segment_step;        /* bytes from segment to segment */
    const int8_t *x_end;         /* a segment that would start here or later ... */
    int32_t x_wrap;              /* ... starts so many bytes earlier; 0: the input is no ring */
    int32_t row, row_gap;        /* after each `row` positions row_gap more bytes; 0: never (Helium only) */
    const int8_t *w;             /* packed [outputs / oc_block][segments][length / k_block][oc][k] */
    const int32_t *bias, *multiplier;
    const int8_t *shift;
    int32_t per_channel;         /* 0: multiplier[0], shift[0] serve every output */
    int32_t outputs, oc_block, k_block;
    int32_t output_offset, act_min, act_max;
    int8_t *y;
    int32_t y_step;              /* bytes from position to position */
} thm_tile;

THM_INLINE const int8_t *thm_tile_next(const thm_tile *t, const int8_t *x)
{
    x += t->segment_step;
    return t->x_wrap != 0 && x >= t->x_end ? x - t->x_wrap : x;
}

/* Requantize one accumulator and store it as output o of position n. */
THM_INLINE void thm_tile_store(const thm_tile *t, int32_t n, int32_t o, int32_t acc)
{
    const int32_t c = t->per_channel ? o : 0;
    const int32_t q = thm_requantize(acc, t->multiplier[c], t->shift[c]) + t->output_offset;
    t->y[n * t->y_step + o] = (int8_t)thm_clamp(q, t->act_min, t->act_max);
}

/* Any packing, one output and position at a time: what a layer falls back to for a foreign packing. */
THM_INLINE void thm_tile_any_s8(const thm_tile t, int32_t n)
{
    const int32_t chunks = (t.length + t.k_block - 1) / t.k_block;
    const int32_t segment_bytes = chunks * t.k_block * t.oc_block;
    for (int32_t i = 0; i < n; i++) {
        for (int32_t o = 0; o < t.outputs; o++) {
            const int8_t *w = t.w + (o / t.oc_block) * t.segments * segment_bytes +
                              (o % t.oc_block) * t.k_block;
            const int8_t *x = t.x + i * t.x_step;
            int32_t acc = t.bias[o];
            for (int32_t s = 0; s < t.segments; s++) {
                for (int32_t k = 0; k < t.length; k++) {
                    const int32_t at = (k / t.k_block) * t.k_block * t.oc_block + k % t.k_block;
                    acc += (int32_t)w[at] * x[k];
                }
                w += segment_bytes;
                x = thm_tile_next(&t, x);
            }
            thm_tile_store(&t, i, o, acc);
        }
    }
}

/* One output position of DEPTHWISE_CONV_2D, all channels, the filter already cut to the taps inside. */
typedef struct {
    const int8_t *x;             /* column of the first tap, in row 0 */
    int32_t x_first;             /* bytes to the row of the first tap */
    int32_t x_row_step, x_column_step; /* bytes from tap to tap */
    int32_t x_ring;              /* bytes of the ring of rows; 0: the input is no ring */
    const int8_t *w;             /* first tap, [channels] */
    int32_t w_row_step;          /* bytes from row to row of the filter; columns are `channels` apart */
    int32_t taps_h, taps_w;
    const int32_t *bias, *multiplier;
    const int8_t *shift;
    int32_t per_channel;
    int32_t channels, channel_multiplier; /* outputs, outputs of one input channel */
    int32_t input_offset, output_offset, act_min, act_max;
    int8_t *y;
} thm_depthwise_tile;

/* All channels of one position, in plain C. */
THM_INLINE void thm_depthwise_tile_any_s8(const thm_depthwise_tile *t)
{
    for (int32_t o = 0; o < t->channels; o++) {
        const int32_t channel = t->channel_multiplier == 1 ? o : o / t->channel_multiplier;
        int32_t acc = t->bias[o];
        int32_t row = t->x_first;
        const int8_t *w = t->w + o;
        for (int32_t ky = 0; ky < t->taps_h; ky++) {
            const int8_t *x = t->x + row + channel;
            for (int32_t kx = 0; kx < t->taps_w; kx++) {
                acc += (int32_t)w[kx * t->channels] * (x[kx * t->x_column_step] + t->input_offset);
            }
            w += t->w_row_step;
            row += t->x_row_step;
            if (t->x_ring != 0 && row >= t->x_ring) {
                row -= t->x_ring;
            }
        }
        const int32_t c = t->per_channel ? o : 0;
        const int32_t q = thm_requantize(acc, t->multiplier[c], t->shift[c]) + t->output_offset;
        t->y[o] = (int8_t)thm_clamp(q, t->act_min, t->act_max);
    }
}

/* sum_k w[k] */
THM_INLINE int32_t thm_sum_s8(const int8_t *w, int32_t count)
{
    int32_t sum = 0;
    for (int32_t k = 0; k < count; k++) {
        sum += w[k];
    }
    return sum;
}

/* acc += sum_k w[k] * x[k] */
THM_INLINE void thm_dot_s8(int32_t *acc, const int8_t *w, const int8_t *x, int32_t count)
{
    int32_t sum = *acc;
    for (int32_t k = 0; k < count; k++) {
        sum += (int32_t)w[k] * x[k];
    }
    *acc = sum;
}

/* acc += sum_k w[k] * x[k], int16 activations, int64 accumulator */
THM_INLINE void thm_dot_s16(int64_t *acc, const int8_t *w, const int16_t *x, int32_t count)
{
    int64_t sum = *acc;
    for (int32_t k = 0; k < count; k++) {
        sum += (int32_t)w[k] * x[k];
    }
    *acc = sum;
}

#endif
