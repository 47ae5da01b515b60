/* y[oy][ox][o] = clamp(requantize(bias[o] + sum w[o][ky][kx][c] * (x[iy][ix][c] - x_zero)) + y_zero)
 *
 * iy = oy * stride_h - pad_top + ky * dilation_h, ix likewise; taps outside the image add nothing.
 * x [in_h][in_w][in_c], y [..][out_w][out_c]; a call computes `outputs` channels from y_channel on, from
 * `depth` input channels from x_channel on (all of them unless the convolution is grouped).
 *
 * The int8 kernel folds the input offset into the bias. Inside the image a tile reads x where it lies; the
 * patches of windows that cross the border (or all of them: `gathers`) are first copied to `scratch`
 * [patches][pitch], with x_zero outside the image.
 */
#ifndef THM_CONV_2D_H
#define THM_CONV_2D_H

#include "arch/arch.h"
#include "window.h"

typedef struct {
    int32_t in_h, in_w, in_c, out_w, out_c;
    int32_t x_channel, depth, y_channel, outputs;
    int32_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t x_ring, y_ring, out_h;
    int32_t x_zero, output_offset, act_min, act_max, per_channel;
    int32_t oc_block, k_block;
    int32_t gathers; /* 1: every patch is gathered */
    int32_t segments; /* of w: 1 where a layer gathers, else filter_h */
    int32_t patches; /* how many patches scratch holds, 0: no window crosses the border */
} thm_conv_2d_s8_params;

/* Copies the patches of n windows from output (oy, ox) on, row after row, `pitch` bytes apart. */
THM_INLINE void thm_gather_s8(const thm_conv_2d_s8_params *p, const int8_t *x, int32_t oy, int32_t ox,
                              int32_t n, int32_t pitch, int8_t *to)
{
    const int32_t length = p->filter_w * p->depth, x_row = p->in_w * p->in_c;
    const int32_t span_h = (p->filter_h - 1) * p->dilation_h;
    const int32_t span_w = (p->filter_w - 1) * p->dilation_w;
    const int32_t is_row = (p->dilation_w == 1 || p->filter_w == 1) && p->depth == p->in_c;
    while (n > 0) {
        const int32_t iy = oy * p->stride_h - p->pad_top, ix = ox * p->stride_w - p->pad_left;
        int32_t top = 0, bottom = p->filter_h, first = 0, end = p->filter_w;
        int32_t run = 1; /* windows that lie in the image alike */
        if (iy < 0 || iy + span_h >= p->in_h || ix < 0 || ix + span_w >= p->in_w) {
            top = thm_first_tap(iy, p->dilation_h);
            bottom = thm_end_tap(iy, p->dilation_h, p->filter_h, p->in_h);
            first = thm_first_tap(ix, p->dilation_w);
            end = thm_max(thm_end_tap(ix, p->dilation_w, p->filter_w, p->in_w), first);
            thm_fill_s8(to, p->x_zero, p->filter_h * length);
        } else {
            const int32_t inside = (p->in_w - 1 - span_w - ix) / p->stride_w + 1;
            run = thm_min(thm_min(inside, p->out_w - ox), n);
        }
        const int32_t sy = iy + top * p->dilation_h;
        const int32_t ring_y = p->x_ring < p->in_h ? thm_ring(sy, p->x_ring) : sy;
        /* Rows of the window that lie before the end of the ring. */
        const int32_t before = p->x_ring < p->in_h
                                   ? thm_min((p->x_ring - 1 - ring_y) / p->dilation_h + 1, bottom - top)
                                   : bottom - top;
        const int8_t *from =
            x + ring_y * x_row + (ix + first * p->dilation_w) * p->in_c + p->x_channel;
        int8_t *row = to + top * length + first * p->depth;
        ox += run;
        n -= run;
        to += run * pitch;
        for (; run > 0; run--) {
            if (is_row) {
                const int32_t bytes = (end - first) * p->depth, step = p->dilation_h * x_row;
                thm_copy_rows_s8(row, length, from, step, bytes, before);
                if (before < bottom - top) {
                    thm_copy_rows_s8(row + before * length, length,
                                     from + before * step - p->x_ring * x_row, step, bytes,
                                     bottom - top - before);
                }
            } else {
                const int8_t *v = from;
                for (int32_t ky = 0; ky < bottom - top; ky++) {
                    for (int32_t kx = 0; kx < end - first; kx++) {
                        thm_copy_s8(row + ky * length + kx * p->depth,
                                    v + kx * p->dilation_w * p->in_c, p->depth);
                    }
                    v += p->dilation_h * x_row;
                    v -= v >= x + p->x_ring * x_row ? p->x_ring * x_row : 0;
                }
            }
            from += p->stride_w * p->in_c;
            row += pitch;
        }
        if (ox == p->out_w) {
            ox = 0;
            oy++;
        }
    }
}

/* w packed with segments = filter_h, length = filter_w * depth; where the layer gathers, with one segment
 * of the whole patch. A patch is pitch = filter_h * filter_w * depth bytes, gathered: rounded up to k_block. */
THM_KERNEL void thm_conv_2d_s8(const thm_conv_2d_s8_params *p, int32_t y_first, int32_t y_count,
                               const int8_t *x, const int8_t *w, const int32_t *bias,
                               const int32_t *multiplier, const int8_t *shift, int8_t *scratch,
                               int8_t *y)
{
    const int32_t x_row = p->in_w * p->in_c, y_row = p->out_w * p->out_c;
    const int32_t length = p->filter_w * p->depth, patch = p->filter_h * length;
    const int32_t pitch =
        p->gathers ? (patch + p->k_block - 1) / p->k_block * p->k_block : patch;
    const int32_t span_h = (p->filter_h - 1) * p->dilation_h;
    const int32_t span_w = (p->filter_w - 1) * p->dilation_w;
    const int32_t is_ring = p->x_ring < p->in_h;
    /* Whether the products of a row of the filter lie side by side in x. */
    const int32_t is_contiguous =
        p->filter_w == 1 || (p->dilation_w == 1 && p->depth == p->in_c);
    /* Rows of a pointwise layer that follow each other in memory are one long row. */
    const int32_t is_flat = !p->gathers && p->filter_h == 1 && p->filter_w == 1 &&
                            p->stride_h == 1 && p->stride_w == 1 && p->pad_top <= 0 &&
                            p->pad_left == 0 && p->in_w == p->out_w;
    /* Columns [first, end) of the output whose windows lie inside the image. */
    const int32_t first = (p->pad_left + p->stride_w - 1) / p->stride_w;
    const int32_t room = p->in_w - 1 - span_w + p->pad_left;
    const int32_t end = room < 0 ? 0 : thm_min(room / p->stride_w + 1, p->out_w);
    thm_tile t = {
        .w = w,
        .bias = bias,
        .multiplier = multiplier,
        .shift = shift,
        .per_channel = p->per_channel,
        .outputs = p->outputs,
        .oc_block = p->oc_block,
        .k_block = p->k_block,
        .output_offset = p->output_offset,
        .act_min = p->act_min,
        .act_max = p->act_max,
        .y_step = p->out_c,
    };
    /* From the right border on, the left border of the next row lies beside it in y. */
    const int32_t more = p->y_ring < p->out_h ? 0 : first;
    const int32_t y_end = y_first + y_count;
    for (int32_t oy = y_first, ox = 0; oy < y_end;) {
        const int32_t iy = oy * p->stride_h - p->pad_top, ix = ox * p->stride_w - p->pad_left;
        const int32_t is_inside =
            !p->gathers && is_contiguous && iy >= 0 && iy + span_h < p->in_h;
        int32_t n = (y_end - oy) * p->out_w - ox;
        if (is_flat || p->patches == 0 || (is_inside && ox >= first && ox < end)) {
            const int32_t slot = thm_ring(thm_max(iy, 0), p->x_ring);
            const int32_t x_left = THM_TILE_WRAPS ? p->x_ring : p->x_ring - slot;
            const int32_t left = thm_min(x_left, p->y_ring - thm_ring(oy, p->y_ring));
            n = is_flat ? thm_min(n, left * p->out_w) : end - ox;
            t.x = x + slot * x_row + ix * p->in_c + p->x_channel;
            t.x_step = p->stride_w * p->in_c;
            t.segments = p->segments;
            t.length = length;
            t.segment_step = p->dilation_h * x_row;
            t.x_end = x + p->x_ring * x_row;
            const int32_t wraps = slot + span_h >= p->x_ring ||
                                  (is_flat && slot * p->in_w + n > p->x_ring * p->in_w);
            t.x_wrap = is_ring && wraps ? p->x_ring * x_row : 0;
        } else {
            if (!p->gathers) { /* up to the inside, or the end of the row */
                n = thm_min((is_inside && ox < first ? first : p->out_w + more) - ox, n);
            } else if (p->y_ring < p->out_h) { /* up to the end of the ring */
                n = thm_min((p->y_ring - thm_ring(oy, p->y_ring)) * p->out_w - ox, n);
            }
            n = thm_min(n, p->patches);
            thm_gather_s8(p, x, oy, ox, n, pitch, scratch);
            const int32_t is_one = p->gathers || length % p->k_block == 0;
            t.x = scratch;
            t.x_step = pitch;
            t.segments = is_one ? 1 : p->segments;
            t.length = is_one ? pitch : length;
            t.segment_step = length;
            t.x_end = scratch;
            t.x_wrap = 0;
        }
        t.y = y + thm_ring(oy, p->y_ring) * y_row + ox * p->out_c + p->y_channel;
        thm_tile_s8(t, n);
        for (ox += n; ox >= p->out_w && oy < y_end; ox -= p->out_w) {
            oy++;
        }
    }
}

typedef struct {
    int32_t in_h, in_w, in_c, out_w, out_c;
    int32_t x_channel, depth, y_channel, outputs;
    int32_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t x_ring, y_ring;
    int32_t act_min, act_max, per_channel;
    int32_t wide; /* 1: int64 accumulator and 16-bit multiplier, 0: the file's bias is int32 */
} thm_conv_2d_s16_params;

/* x, y int16 with zero point 0; w [outputs][filter_h][filter_w][depth] int8, bias int64. */
THM_KERNEL void thm_conv_2d_s16(const thm_conv_2d_s16_params *p, int32_t y_first, int32_t y_count,
                                const int16_t *x, const int8_t *w, const int64_t *bias,
                                const int32_t *multiplier, const int8_t *shift, int16_t *y)
{
    for (int32_t oy = y_first; oy < y_first + y_count; oy++) {
        const int32_t iy = oy * p->stride_h - p->pad_top;
        int16_t *y_row = y + thm_ring(oy, p->y_ring) * p->out_w * p->out_c + p->y_channel;
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            const int32_t ix = ox * p->stride_w - p->pad_left;
            for (int32_t o = 0; o < p->outputs; o++) {
                const int8_t *w_o = w + o * p->filter_h * p->filter_w * p->depth;
                int64_t acc = bias[o];
                for (int32_t ky = 0; ky < p->filter_h; ky++) {
                    const int32_t sy = iy + ky * p->dilation_h;
                    if (sy < 0 || sy >= p->in_h) {
                        continue;
                    }
                    const int16_t *x_row =
                        x + thm_ring(sy, p->x_ring) * p->in_w * p->in_c + p->x_channel;
                    for (int32_t kx = 0; kx < p->filter_w; kx++) {
                        const int32_t sx = ix + kx * p->dilation_w;
                        if (sx >= 0 && sx < p->in_w) {
                            thm_dot_s16(&acc, w_o + (ky * p->filter_w + kx) * p->depth,
                                        x_row + sx * p->in_c, p->depth);
                        }
                    }
                }
                const int32_t c = p->per_channel ? o : 0;
                const int32_t q = p->wide ? thm_requantize64(acc, multiplier[c], shift[c])
                                          : thm_requantize((int32_t)acc, multiplier[c], shift[c]);
                y_row[ox * p->out_c + o] = (int16_t)thm_clamp(q, p->act_min, p->act_max);
            }
        }
    }
}

typedef struct {
    int32_t in_h, in_w, in_c, out_w, out_c;
    int32_t x_channel, depth, y_channel, outputs;
    int32_t filter_h, filter_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int32_t x_ring, y_ring;
    float act_min, act_max;
} thm_conv_2d_f32_params;

/* w [outputs][filter_h][filter_w][depth]; accumulates ky, kx, c ascending, bias last, as TFLM does. */
THM_KERNEL void thm_conv_2d_f32(const thm_conv_2d_f32_params *p, int32_t y_first, int32_t y_count,
                                const float *x, const float *w, const float *bias, float *y)
{
    for (int32_t oy = y_first; oy < y_first + y_count; oy++) {
        const int32_t iy = oy * p->stride_h - p->pad_top;
        float *y_row = y + thm_ring(oy, p->y_ring) * p->out_w * p->out_c + p->y_channel;
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            const int32_t ix = ox * p->stride_w - p->pad_left;
            for (int32_t o = 0; o < p->outputs; o++) {
                const float *w_o = w + o * p->filter_h * p->filter_w * p->depth;
                float acc = 0.0f;
                for (int32_t ky = 0; ky < p->filter_h; ky++) {
                    const int32_t sy = iy + ky * p->dilation_h;
                    if (sy < 0 || sy >= p->in_h) {
                        continue;
                    }
                    const float *x_row =
                        x + thm_ring(sy, p->x_ring) * p->in_w * p->in_c + p->x_channel;
                    for (int32_t kx = 0; kx < p->filter_w; kx++) {
                        const int32_t sx = ix + kx * p->dilation_w;
                        if (sx < 0 || sx >= p->in_w) {
                            continue;
                        }
                        const float *w_k = w_o + (ky * p->filter_w + kx) * p->depth;
                        const float *x_k = x_row + sx * p->in_c;
                        for (int32_t c = 0; c < p->depth; c++) {
                            acc += x_k[c] * w_k[c];
                        }
                    }
                }
                y_row[ox * p->out_c + o] = thm_clamp_f32(acc + bias[o], p->act_min, p->act_max);
            }
        }
    }
}

#endif
