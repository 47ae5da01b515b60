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

#include "arch/joint.h"

typedef struct {
    int32_t in_h, in_w, in_c, out_w, out_c;
    int32_t x_channel, depth, y_channel, outputs;
    int32_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t x_ring, y_ring, out_h;
    int32_t x_zero, output_offset, act_min, act_max;
} thm_conv_2d_paired_s8_params;

/* Row `row` of the image from column ix on, put together in `scratch`. */
static THM_NOINLINE THM_UNUSED const int8_t *
thm_patch_row(const thm_conv_2d_paired_s8_params *p, const int8_t *row, int8_t *scratch, int32_t ix)
{
    memset(scratch, p->x_zero, (size_t)(p->filter_w * p->depth));
    if (p->dilation_w == 1 && p->depth == p->in_c) {
        const int32_t first = thm_max(-ix, 0), end = thm_min(p->in_w - ix, p->filter_w);
        if (first < end) {
            memcpy(scratch + first * p->depth, row + (ix + first) * p->in_c,
                   (size_t)((end - first) * p->depth));
        }
        return scratch;
    }
    for (int32_t kx = 0; kx < p->filter_w; kx++, ix += p->dilation_w) {
        if (ix >= 0 && ix < p->in_w) {
            memcpy(scratch + kx * p->depth, row + ix * p->in_c, (size_t)p->depth);
        }
    }
    return scratch;
}

/* Whether this is a pointwise layer, of which rows that follow each other in memory are one long row. */
THM_INLINE int32_t thm_patches_are_flat(const thm_conv_2d_paired_s8_params *p)
{
    return p->filter_h == 1 && p->filter_w == 1 && p->stride_h == 1 && p->stride_w == 1 &&
           p->pad_top <= 0 && p->pad_left == 0 && p->in_w == p->out_w;
}

/* How many of `count` rows from oy on are one long row. */
THM_INLINE int32_t thm_flat_rows(const thm_conv_2d_paired_s8_params *p, int32_t oy, int32_t count)
{
    if (!thm_patches_are_flat(p)) {
        return 1;
    }
    const int32_t x_left = p->x_ring - thm_ring(oy - p->pad_top, p->x_ring);
    return thm_min(count, thm_min(x_left, p->y_ring - thm_ring(oy, p->y_ring)));
}

/* Where row oy reads x from on: a long row begins at its own, others at row 0. */
THM_INLINE const int8_t *thm_patches_from(const thm_conv_2d_paired_s8_params *p, const int8_t *x,
                                          int32_t oy)
{
    const int32_t slot = thm_patches_are_flat(p) ? thm_ring(oy - p->pad_top, p->x_ring) : 0;
    return x + slot * p->in_w * p->in_c;
}

/* Pairs of products [from, from + count) of row iy of the patch whose columns begin at ix. */
THM_INLINE int32_t *thm_patch_widen(const thm_conv_2d_paired_s8_params *p, const int8_t *x,
                                    int8_t *scratch, int32_t iy, int32_t ix, int32_t from,
                                    int32_t count, int32_t *to, int32_t step)
{
    const int32_t is_flat = thm_patches_are_flat(p);
    const int32_t is_contiguous =
        p->filter_w == 1 || (p->dilation_w == 1 && p->depth == p->in_c);
    if (!is_flat && (iy < 0 || iy >= p->in_h)) {
        for (int32_t k = 0; k < ((count + 3) & ~3); k += 2, to += step) {
            *to = thm_pkhbt(p->x_zero, p->x_zero);
        }
        return to;
    }
    const int8_t *row =
        x + (is_flat ? 0 : thm_ring(iy, p->x_ring)) * p->in_w * p->in_c + p->x_channel;
    if (is_flat || (is_contiguous && ix >= 0 && ix + (p->filter_w - 1) * p->dilation_w < p->in_w)) {
        row += ix * p->in_c;
    } else {
        row = thm_patch_row(p, row, scratch, ix);
    }
    return thm_widen(row + from, count, to, step);
}

/* w [outputs / 4][filter_h][filter_w * depth / 4][8]; records [outputs][2], zeros up to 4 outputs. At most
 * 2 * THM_PAIR_WORDS products, each row of the filter rounded up to four. */
THM_KERNEL void thm_conv_2d_paired_s8(const thm_conv_2d_paired_s8_params *p, int32_t y_first,
                                      int32_t y_count, const int8_t *x, const int32_t *w,
                                      const int32_t *records, int8_t *scratch, int8_t *y)
{
    int32_t words[THM_PAIR_WORDS];
    const int32_t length = p->filter_w * p->depth;
    const int32_t products = p->filter_h * ((length + 3) & ~3);
    const int32_t positions = products <= THM_PAIR_WORDS ? THM_PAIR_POSITIONS : 1;
    const int32_t center = 2 * p->output_offset + 1;
    for (int32_t oy = y_first, rows; oy < y_first + y_count; oy += rows) {
        rows = thm_flat_rows(p, oy, y_first + y_count - oy);
        const int8_t *from = thm_patches_from(p, x, oy);
        const int32_t width = rows * p->out_w;
        int8_t *to = y + thm_ring(oy, p->y_ring) * p->out_w * p->out_c + p->y_channel;
        for (int32_t ox = 0, n; ox < width; ox += n, to += n * p->out_c) {
            int32_t *end = words;
            n = thm_min(positions, width - ox);
            for (int32_t i = 0; i < n; i++) {
                int32_t iy = oy * p->stride_h - p->pad_top;
                end = words + i;
                for (int32_t ky = 0; ky < p->filter_h; ky++, iy += p->dilation_h) {
                    end = thm_patch_widen(p, from, scratch, iy, (ox + i) * p->stride_w - p->pad_left,
                                          0, length, end, n);
                }
            }
            thm_pairs_outputs(w, words, end - (n - 1), records, p->outputs, center, n, to,
                              p->out_c);
            for (int32_t i = 0; i < n; i++) {
                thm_clamp_row(to + i * p->out_c, p->outputs, p->act_min, p->act_max);
            }
        }
    }
}

typedef thm_conv_2d_paired_s8_params thm_conv_2d_deep_s8_params;

/* The same for any number of products: in chunks, widened again for each four outputs. */
THM_KERNEL void thm_conv_2d_deep_s8(const thm_conv_2d_paired_s8_params *p, int32_t y_first,
                                    int32_t y_count, const int8_t *x, const int32_t *w,
                                    const int32_t *records, int8_t *scratch, int8_t *y)
{
    int32_t words[THM_PAIR_WORDS];
    const int32_t length = p->filter_w * p->depth;
    for (int32_t oy = y_first; oy < y_first + y_count; oy++) {
        const int8_t *from = thm_patches_from(p, x, oy);
        int8_t *to = y + thm_ring(oy, p->y_ring) * p->out_w * p->out_c + p->y_channel;
        for (int32_t ox = 0; ox < p->out_w; ox++, to += p->out_c) {
            const int32_t *w_next = w;
            for (int32_t o = 0; o < p->outputs; o += 4) {
                int32_t sums[4];
                thm_pairs_start(sums, records + 2 * o);
                for (int32_t ky = 0; ky < p->filter_h; ky++) {
                    const int32_t iy = oy * p->stride_h - p->pad_top + ky * p->dilation_h;
                    for (int32_t k = 0; k < length; k += THM_DEEP_PRODUCTS) {
                        const int32_t count = thm_min(THM_DEEP_PRODUCTS, length - k);
                        const int32_t *end =
                            thm_patch_widen(p, from, scratch, iy, ox * p->stride_w - p->pad_left, k,
                                            count, words, 1);
                        w_next = thm_pairs_add(sums, w_next, words, end, 1);
                    }
                }
                thm_pairs_store(sums, records + 2 * o, 2 * p->output_offset + 1, to + o,
                                  p->outputs - o);
            }
            thm_clamp_row(to, p->outputs, p->act_min, p->act_max);
        }
    }
}

/* x[0 .. count) as int32 */
THM_INLINE int32_t *thm_spread(const int8_t *x, int32_t count, int32_t *to)
{
    for (; count >= 4; count -= 4, x += 4, to += 4) {
        const int32_t a = x[0], b = x[1], c = x[2], d = x[3];
        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
    }
    for (; count > 0; count--) {
        *to++ = *x++;
    }
    return to;
}

/* Row iy of the patch whose columns begin at ix. */
THM_INLINE int32_t *thm_patch_spread(const thm_conv_2d_paired_s8_params *p, const int8_t *x,
                                     int8_t *scratch, int32_t iy, int32_t ix, int32_t *to)
{
    const int32_t length = p->filter_w * p->depth, is_flat = thm_patches_are_flat(p);
    const int32_t is_contiguous =
        p->filter_w == 1 || (p->dilation_w == 1 && p->depth == p->in_c);
    if (!is_flat && (iy < 0 || iy >= p->in_h)) {
        for (int32_t k = 0; k < length; k++) {
            *to++ = p->x_zero;
        }
        return to;
    }
    const int8_t *row =
        x + (is_flat ? 0 : thm_ring(iy, p->x_ring)) * p->in_w * p->in_c + p->x_channel;
    if (is_flat || (is_contiguous && ix >= 0 && ix + (p->filter_w - 1) * p->dilation_w < p->in_w)) {
        row += ix * p->in_c;
    } else {
        row = thm_patch_row(p, row, scratch, ix);
    }
    return thm_spread(row, length, to);
}

typedef thm_conv_2d_paired_s8_params thm_conv_2d_joint_s8_params;

/* For cores that multiply 32 bits but add one product at a time: half the multiplications for twice the
 * weights, so for layers that have few (arch/joint.h). Each patch is widened to int32 once for all outputs.
 * w [outputs / 4][(filter_h * filter_w * depth + 1) / 2][4]; records [outputs][2], zeros up to 4 outputs.
 * At most THM_JOINT_PRODUCTS products. */
THM_KERNEL void thm_conv_2d_joint_s8(const thm_conv_2d_paired_s8_params *p, int32_t y_first,
                                     int32_t y_count, const int8_t *x, const int32_t *w,
                                     const int32_t *records, int8_t *scratch, int8_t *y)
{
    int32_t words[THM_JOINT_PRODUCTS];
    const int32_t products = p->filter_h * p->filter_w * p->depth;
    words[(products - 1) | 1] = 0; /* where the last has no neighbour */
    for (int32_t oy = y_first, rows; oy < y_first + y_count; oy += rows) {
        rows = thm_flat_rows(p, oy, y_first + y_count - oy);
        const int8_t *from = thm_patches_from(p, x, oy);
        int8_t *to = y + thm_ring(oy, p->y_ring) * p->out_w * p->out_c + p->y_channel;
        for (int32_t ox = 0; ox < rows * p->out_w; ox++, to += p->out_c) {
            int32_t *end = words, iy = oy * p->stride_h - p->pad_top;
            for (int32_t ky = 0; ky < p->filter_h; ky++, iy += p->dilation_h) {
                end = thm_patch_spread(p, from, scratch, iy, ox * p->stride_w - p->pad_left,
                                       end);
            }
            thm_joint_outputs(w, words, words + ((products + 1) & ~1), records, p->outputs,
                              2 * p->output_offset + 1, to);
            thm_clamp_row(to, p->outputs, p->act_min, p->act_max);
        }
    }
}

#endif
