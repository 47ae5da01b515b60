/* y[r][c] = the four pixels of x round (row r * scale_h + offset_h, column c * scale_w +
 * offset_w), weighted
 *
 * x [in_h][in_w][depth], y [.][out_w][depth]. The integer kernels count positions in 1/1024
 * pixel, as TFLite does, and clamp them to the image first, which changes nothing: outside it
 * both neighbours are one pixel.
 */
#ifndef THM_RESIZE_BILINEAR_H
#define THM_RESIZE_BILINEAR_H

#include "thm.h"

typedef struct {
    int32_t low, high; /* the neighbours, elements from the start of a row or of x */
    int32_t weight;    /* of `high`, in 1/1024 */
} thm_neighbours;

THM_INLINE thm_neighbours thm_neighbours_of(int32_t i, int32_t scale, int32_t offset, int32_t size)
{
    const int32_t t = thm_clamp(i * scale + offset, 0, (size - 1) * 1024);
    const thm_neighbours n = { t >> 10, thm_min((t + 1023) >> 10, size - 1), t & 1023 };
    return n;
}

typedef struct {
    int32_t in_h, in_w, out_w, depth;
    int32_t scale_h, offset_h, scale_w, offset_w; /* in 1/1024 */
    int32_t x_ring, y_ring;
} thm_resize_bilinear_s8_params;

THM_KERNEL void thm_resize_bilinear_s8(const thm_resize_bilinear_s8_params *p, int32_t y_first,
                                       int32_t y_count, const int8_t *x, int8_t *y)
{
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const thm_neighbours v = thm_neighbours_of(r, p->scale_h, p->offset_h, p->in_h);
        const int8_t *top = x + thm_ring(v.low, p->x_ring) * p->in_w * p->depth;
        const int8_t *bottom = x + thm_ring(v.high, p->x_ring) * p->in_w * p->depth;
        int8_t *to = y + thm_ring(r, p->y_ring) * p->out_w * p->depth;
        for (int32_t c = 0; c < p->out_w; c++) {
            const thm_neighbours h = thm_neighbours_of(c, p->scale_w, p->offset_w, p->in_w);
            const int32_t left = h.low * p->depth, right = h.high * p->depth;
            for (int32_t k = 0; k < p->depth; k++) {
                const int32_t above =
                    top[left + k] * (1024 - h.weight) + top[right + k] * h.weight;
                const int32_t below =
                    bottom[left + k] * (1024 - h.weight) + bottom[right + k] * h.weight;
                const int32_t sum = above * (1024 - v.weight) + below * v.weight;
                *to++ = (int8_t)((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
            }
        }
    }
}

typedef struct {
    int32_t in_h, in_w, out_w, depth;
    int32_t scale_h, offset_h, scale_w, offset_w;
    int32_t x_ring, y_ring;
} thm_resize_bilinear_s16_params;

THM_KERNEL void thm_resize_bilinear_s16(const thm_resize_bilinear_s16_params *p, int32_t y_first,
                                        int32_t y_count, const int16_t *x, int16_t *y)
{
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const thm_neighbours v = thm_neighbours_of(r, p->scale_h, p->offset_h, p->in_h);
        const int16_t *top = x + thm_ring(v.low, p->x_ring) * p->in_w * p->depth;
        const int16_t *bottom = x + thm_ring(v.high, p->x_ring) * p->in_w * p->depth;
        int16_t *to = y + thm_ring(r, p->y_ring) * p->out_w * p->depth;
        for (int32_t c = 0; c < p->out_w; c++) {
            const thm_neighbours h = thm_neighbours_of(c, p->scale_w, p->offset_w, p->in_w);
            const int32_t left = h.low * p->depth, right = h.high * p->depth;
            for (int32_t k = 0; k < p->depth; k++) {
                const int32_t above =
                    top[left + k] * (1024 - h.weight) + top[right + k] * h.weight;
                const int32_t below =
                    bottom[left + k] * (1024 - h.weight) + bottom[right + k] * h.weight;
                const int64_t sum =
                    (int64_t)above * (1024 - v.weight) + (int64_t)below * v.weight;
                *to++ = (int16_t)((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
            }
        }
    }
}

/* Position i in x: (i + 0.5) * scale - 0.5, or i * scale. */
THM_INLINE float thm_source_f32(int32_t i, float scale, int32_t half_pixel_centers)
{
    return half_pixel_centers != 0 ? ((float)i + 0.5f) * scale - 0.5f : (float)i * scale;
}

THM_INLINE int32_t thm_floor_in(float t, int32_t size)
{
    return thm_min((int32_t)(t > 0.0f ? t : 0.0f), size - 1);
}

THM_INLINE int32_t thm_ceil_in(float t, int32_t size)
{
    const int32_t whole = (int32_t)(t > 0.0f ? t : 0.0f);
    return thm_min(whole + ((float)whole < t ? 1 : 0), size - 1);
}

typedef struct {
    int32_t in_h, in_w, out_w, depth;
    float scale_h, scale_w;
    int32_t half_pixel_centers;
    int32_t x_ring, y_ring;
} thm_resize_bilinear_f32_params;

/* The four products are added in the order of TFLM's reference: top left, bottom left, top
 * right, bottom right. */
THM_KERNEL void thm_resize_bilinear_f32(const thm_resize_bilinear_f32_params *p, int32_t y_first,
                                        int32_t y_count, const float *x, float *y)
{
    for (int32_t r = y_first; r < y_first + y_count; r++) {
        const float v = thm_source_f32(r, p->scale_h, p->half_pixel_centers);
        const int32_t v_low = thm_floor_in(v, p->in_h);
        const float down = v - (float)v_low;
        const float up = 1.0f - down;
        const float *top = x + thm_ring(v_low, p->x_ring) * p->in_w * p->depth;
        const float *bottom =
            x + thm_ring(thm_ceil_in(v, p->in_h), p->x_ring) * p->in_w * p->depth;
        float *to = y + thm_ring(r, p->y_ring) * p->out_w * p->depth;
        for (int32_t c = 0; c < p->out_w; c++) {
            const float h = thm_source_f32(c, p->scale_w, p->half_pixel_centers);
            const int32_t h_low = thm_floor_in(h, p->in_w);
            const int32_t left = h_low * p->depth;
            const int32_t right = thm_ceil_in(h, p->in_w) * p->depth;
            const float forth = h - (float)h_low;
            const float back = 1.0f - forth;
            for (int32_t k = 0; k < p->depth; k++) {
                *to++ = top[left + k] * up * back + bottom[left + k] * down * back +
                        top[right + k] * up * forth + bottom[right + k] * down * forth;
            }
        }
    }
}

#endif
