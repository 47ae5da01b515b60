/* Tiles for cores with an instruction that adds up the products of two int16: eight int32 sums of different
 * outputs in a vector (two of four where vectors have 128 bits).
 *
 * Weights are widened as they are read, x once for each block of outputs: x_offset is 0, lanes 8, k_block 2.
 * Included by lanes.h behind the vectors of the core (avx2.h, simd128.h).
 */
#ifndef THM_ARCH_PAIR_LANES_H
#define THM_ARCH_PAIR_LANES_H

#define THM_WIDENED 256 /* products of a run that are widened at a time */

/* x[0 .. count) as int16, and a zero after an odd count */
THM_INLINE void thm_widen_pairs(int16_t *to, const int8_t *x, int32_t count)
{
    int32_t k = 0;
    for (; k + 16 <= count; k += 16) {
        thm_widen_16(to + k, x + k);
    }
    for (; k < count; k++) {
        to[k] = x[k];
    }
    if (count % 2) {
        to[count] = 0;
    }
}

/* Sixteen outputs at `positions` positions from x on; weights of the second eight at w + w_step. */
THM_INLINE void thm_block_s8(const thm_lanes_tile *t, const thm_outputs *u, int32_t positions,
                               const int8_t *w, int32_t w_step, const int8_t *x, int8_t *y,
                               int32_t outputs)
{
    int16_t widened[4][THM_WIDENED];
    thm_sums sums[8];
    THM_UNROLL
    for (int32_t i = 0; i < positions; i++) {
        sums[2 * i] = u->bias[0];
        sums[2 * i + 1] = u->bias[1];
    }
    for (int32_t row = 0; row < t->rows; row++) {
        for (int32_t run = 0; run < t->runs; run++) {
            for (int32_t k = 0; k < t->length; k += THM_WIDENED) {
                const int32_t count = thm_min(t->length - k, THM_WIDENED);
                for (int32_t i = 0; i < positions; i++) {
                    thm_widen_pairs(widened[i], x + run * t->run_step + i * t->x_step + k, count);
                }
                for (int32_t at = 0; at < count; at += 2, w += 16) {
                    const thm_pairs16 w0 = thm_load_pairs(w), w1 = thm_load_pairs(w + w_step);
                    THM_UNROLL
                    for (int32_t i = 0; i < positions; i++) {
                        const thm_pairs16 v = thm_repeat_pair(&widened[i][at]);
                        sums[2 * i] = thm_add_products(sums[2 * i], v, w0);
                        sums[2 * i + 1] = thm_add_products(sums[2 * i + 1], v, w1);
                    }
                }
            }
        }
        x = thm_lanes_next_row(t, x);
    }
    THM_UNROLL
    for (int32_t i = 0; i < positions; i++) {
        thm_outputs_store(u, sums[2 * i], sums[2 * i + 1], y + i * t->y_step, outputs);
    }
}

/* All outputs of n positions. */
__attribute__((noinline, unused)) static void thm_lanes_pairs_s8(const thm_lanes_tile *t, int32_t n)
{
    const int32_t w_step = t->rows * t->runs * ((t->length + 1) / 2) * 16;
    thm_outputs u;
    thm_outputs_start(&u, t->output_offset, t->act_min, t->act_max);
    for (int32_t o = 0; o < t->outputs; o += 16) {
        const int8_t *w = t->w + o / 8 * w_step, *x = t->x;
        const int32_t is_two = o + 8 < t->outputs; /* else the second eight repeat the first */
        int8_t *y = t->y + o;
        thm_outputs_load(&u, t->records + 3 * o, 2, is_two ? 24 : 0, 8);
        int32_t left = n;
        for (; left >= 4; left -= 4) {
            thm_block_s8(t, &u, 4, w, is_two ? w_step : 0, x, y, t->outputs - o);
            x += 4 * t->x_step;
            y += 4 * t->y_step;
        }
        for (; left > 0; left--) {
            thm_block_s8(t, &u, 1, w, is_two ? w_step : 0, x, y, t->outputs - o);
            x += t->x_step;
            y += t->y_step;
        }
    }
}

THM_INLINE void thm_lanes_s8(const thm_lanes_tile *t, int32_t n)
{
    if (t->lanes == 8 && t->k_block == 2 && t->x_offset == 0) {
        thm_lanes_pairs_s8(t, n);
    } else {
        thm_lanes_any_s8(t, n);
    }
}

#endif
