/* y[oy][ox][o] = clamp(requantize(bias[o] + sum w[o][ky][kx][c] * (x[iy][ix][c] - x_zero)) + y_zero)
 *
 * CONV_2D for the DSP extension; words and geometry as in conv_2d.h. The weights are
 * pairs of outputs (arch/pairs.h), the input offset is folded into the biases, and bias, multiplier and
 * shift of an output are one record (arch/dsp.h): compile time has proved that both are exact here.
 * Each row of a patch is widened to int16 once for all outputs. A row that crosses the border (or is
 * dilated, or grouped) is first put together in `scratch` [filter_w * depth] with x_zero outside.
 */
#ifndef THM_CONV_2D_PAIRED_H
#define THM_CONV_2D_PAIRED_H

#include "arch/pairs.h"

typedef struct {
    int32_t in_h, in_w, in_c, out_w, out_c;
    int32_t x_channel, depth, y_channel, outputs;
    int32_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t x_ring, y_ring, out_h;
    int32_t x_zero, output_offset, act_min, act_max;
} thm_conv_2d_paired_s8_params;

/* Products [from, from + count) of row `ky` of the patch at (iy, ix), widened to to[0], to[step], ... */
THM_INLINE int32_t *thm_patch_row(const thm_conv_2d_paired_s8_params *p, const int8_t *x,
                                  int8_t *scratch, int32_t iy, int32_t ix, int32_t in_w,
                                  int32_t from, int32_t count, int32_t *to, int32_t step)
{
    const int32_t length = p->filter_w * p->depth;
    const int8_t *row = scratch;
    if (iy < 0 || iy >= p->in_h) {
        memset(scratch, p->x_zero, (size_t)length);
    } else {
        row = x + (thm_ring(iy, p->x_ring) * p->in_w + ix) * p->in_c + p->x_channel;
        const int32_t contiguous =
            p->filter_w == 1 || (p->dilation_w == 1 && p->depth == p->in_c);
        if (!contiguous || ix < 0 || ix + (p->filter_w - 1) * p->dilation_w >= in_w) {
            int8_t *s = scratch;
            for (int32_t kx = 0; kx < p->filter_w; kx++) {
                const int32_t sx = ix + kx * p->dilation_w;
                if (sx >= 0 && sx < in_w) {
                    memcpy(s, row + kx * p->dilation_w * p->in_c, (size_t)p->depth);
                } else {
                    memset(s, p->x_zero, (size_t)p->depth);
                }
                s += p->depth;
            }
            row = scratch;
        }
    }
    return thm_widen(row + from, thm_min(count, length - from), to, step);
}

/* Pairs of all products of the patches of `n` positions, the first at (iy, ix); returns their end. */
THM_INLINE int32_t *thm_patches(const thm_conv_2d_paired_s8_params *p, const int8_t *x,
                                int8_t *scratch, int32_t iy, int32_t ix, int32_t in_w, int32_t n,
                                int32_t *words)
{
    int32_t *end = words;
    for (int32_t i = 0; i < n; i++, ix += p->stride_w) {
        end = words + i;
        for (int32_t ky = 0; ky < p->filter_h; ky++) {
            end = thm_patch_row(p, x, scratch, iy + ky * p->dilation_h, ix, in_w, 0,
                                p->filter_w * p->depth, end, n);
        }
    }
    return end - (n - 1);
}

/* The outputs of one position with more products than `words` holds: in chunks, widened again for each
 * four outputs. */
THM_INLINE void thm_conv_2d_chunks(const thm_conv_2d_paired_s8_params *p, const int8_t *x,
                                   int8_t *scratch, int32_t iy, int32_t ix, int32_t in_w,
                                   int32_t *words, const int32_t *w, const int32_t *records,
                                   int8_t *y)
{
    const int32_t length = p->filter_w * p->depth;
    for (int32_t o = 0; o < p->outputs; o += 4, records += 8) {
        int32_t sums[4];
        thm_pairs_start_4(sums, records);
        for (int32_t ky = 0; ky < p->filter_h; ky++) {
            for (int32_t k = 0; k < length; k += 2 * THM_PAIR_WORDS) {
                const int32_t *end = thm_patch_row(p, x, scratch, iy + ky * p->dilation_h, ix, in_w,
                                                   k, 2 * THM_PAIR_WORDS, words, 1);
                w = thm_pairs_add(sums, w, words, end, 1);
            }
        }
        thm_pairs_store_4(sums, records, 2 * p->output_offset + 1, y + o, p->outputs - o);
    }
}

/* w [outputs / 4][filter_h][filter_w * depth / 4][8]; records [outputs][2], zeros up to 4 outputs. */
THM_KERNEL void thm_conv_2d_paired_s8(const thm_conv_2d_paired_s8_params *p, int32_t y_first,
                                      int32_t y_count, const int8_t *x, const int32_t *w,
                                      const int32_t *records, int8_t *scratch, int8_t *y)
{
    int32_t words[THM_PAIR_WORDS];
    const int32_t products = p->filter_h * ((p->filter_w * p->depth + 3) & ~3);
    const int32_t positions = products <= THM_PAIR_WORDS ? THM_PAIR_POSITIONS : 1;
    const int32_t center = 2 * p->output_offset + 1;
    /* A pointwise layer over whole tensors is one long row. */
    const int32_t is_flat = p->filter_h == 1 && p->filter_w == 1 && p->stride_h == 1 &&
                            p->stride_w == 1 && p->x_ring >= p->in_h && p->y_ring >= p->out_h &&
                            p->pad_top == 0 && p->pad_left == 0 && p->in_w == p->out_w;
    const int32_t rows = is_flat ? 1 : y_count;
    const int32_t width = is_flat ? y_count * p->out_w : p->out_w;
    const int32_t in_w = is_flat ? width : p->in_w;
    const int8_t *from = is_flat ? x + y_first * p->in_w * p->in_c : x;
    for (int32_t row = 0; row < rows; row++) {
        const int32_t oy = y_first + row;
        const int32_t iy = is_flat ? 0 : oy * p->stride_h - p->pad_top;
        int8_t *to = y + thm_ring(oy, p->y_ring) * p->out_w * p->out_c + p->y_channel;
        for (int32_t ox = 0, n; ox < width; ox += n, to += n * p->out_c) {
            const int32_t ix = ox * p->stride_w - p->pad_left;
            n = thm_min(positions, width - ox);
            if (products > 2 * THM_PAIR_WORDS) {
                thm_conv_2d_chunks(p, from, scratch, iy, ix, in_w, words, w, records, to);
            } else {
                const int32_t *end = thm_patches(p, from, scratch, iy, ix, in_w, n, words);
                thm_pairs_outputs(w, words, end, records, p->outputs, center, n, to, p->out_c);
            }
            for (int32_t i = 0; i < n; i++) {
                thm_clamp_row(to + i * p->out_c, p->outputs, p->act_min, p->act_max);
            }
        }
    }
}

#endif
