/* Depthwise rows: bytes of two taps are interleaved and widened, so that one instruction adds both products
 * of a channel. lanes 16, k_block 2, x_offset 0 (pair_lanes.h). */
#ifndef THM_ARCH_PAIR_LANES_DEPTHWISE_H
#define THM_ARCH_PAIR_LANES_DEPTHWISE_H

/* Sixteen bytes of a tap: side by side, or `each` bytes of positions x_step apart. */
THM_INLINE thm_bytes16 thm_tap_bytes(const int8_t *x, int32_t is_whole, int32_t count, int32_t each,
                                int32_t x_step)
{
    int8_t all[16] = {0};
    if (is_whole) {
        return thm_load_bytes(x);
    }
    for (int32_t i = 0; i < count; i += each, x += x_step) {
        for (int32_t c = 0; c < each; c++) {
            all[i + c] = x[c];
        }
    }
    return thm_load_bytes(all);
}

/* Sixteen lanes at one place: x is the first tap's address, rows the bytes from it to those of each row. */
THM_INLINE void thm_add_taps(const thm_depthwise_lanes *t, thm_sums *sums, const int8_t *x,
                              int32_t first, const int8_t *w, int32_t is_whole, int32_t count,
                              int32_t each)
{
    int32_t ky = 0, kx = 0;
    const int8_t *row = x + thm_depthwise_row(t, first, 0);
    for (int32_t left = t->taps_h * t->taps_w; left > 0; left -= 2, w += 32) {
        thm_bytes16 taps[2] = {thm_zero_bytes(), thm_zero_bytes()};
        for (int32_t i = 0; i < 2 && i < left; i++) {
            taps[i] = thm_tap_bytes(row + kx * t->column_step, is_whole, count, each, t->x_step);
            kx++;
            if (kx == t->taps_w) {
                kx = 0;
                ky++;
                row = x + thm_depthwise_row(t, first, ky < t->taps_h ? ky : 0);
            }
        }
        const thm_pairs16 low = thm_interleave_low(taps[0], taps[1]);
        const thm_pairs16 high = thm_interleave_high(taps[0], taps[1]);
        sums[0] = thm_add_products(sums[0], low, thm_load_pairs(w));
        sums[1] = thm_add_products(sums[1], high, thm_load_pairs(w + 16));
    }
}

__attribute__((noinline, unused)) static void thm_depthwise_pairs_s8(const thm_depthwise_lanes *t)
{
    const int32_t pairs = (t->taps_h * t->taps_w + 1) / 2, row_bytes = t->positions * t->channels;
    const int32_t positions = t->together, bytes = positions > 1 ? 16 : t->channels;
    const int32_t follow = t->x_step == t->channels;
    for (int32_t c = 0; c < bytes; c += 16) {
        thm_outputs u;
        thm_outputs_start(&u, t->output_offset, t->act_min, t->act_max);
        thm_outputs_load(&u, t->records + 3 * c, 2, 8, 16);
        for (int32_t row = 0; row < t->rows; row++) {
            const int8_t *x = t->x + c;
            int8_t *y = t->y + row * row_bytes + c;
            for (int32_t i = 0; i < t->positions; i += positions) {
                const int32_t left = positions > 1 ? (t->positions - i) * t->channels : bytes - c;
                const int32_t count = thm_min(left, 16);
                const int32_t each = positions > 1 ? t->channels : count;
                const int32_t is_whole = positions > 1 ? follow : count == 16;
                thm_sums sums[2] = {u.bias[0], u.bias[1]};
                const int8_t *w = t->w + c * pairs * 2;
                const int32_t first = t->first + row * t->band_step;
                if (is_whole) {
                    thm_add_taps(t, sums, x, first, w, 1, count, each);
                } else {
                    thm_add_taps(t, sums, x, first, w, 0, count, each);
                }
                thm_outputs_store(&u, sums[0], sums[1], y, count);
                x += positions * t->x_step;
                y += positions * t->channels;
            }
        }
    }
}

THM_INLINE void thm_depthwise_lanes_s8(const thm_depthwise_lanes *t)
{
    if (t->lanes == 16 && t->k_block == 2 && t->x_offset == 0) {
        thm_depthwise_pairs_s8(t);
    } else {
        thm_depthwise_lanes_any_s8(t);
    }
}

#endif
