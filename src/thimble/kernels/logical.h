/* y = x1 && x2, or x1 || x2 where `either` is 1, of bytes that are 0 or 1. Operands and loops:
 * broadcast.h; safe in place. */
#ifndef THM_LOGICAL_H
#define THM_LOGICAL_H

#include "broadcast.h"
#include "unary.h"

typedef struct {
    int32_t y_ring, x1_ring, x2_ring, y_row, x1_row, x2_row;
    int32_t outer, inner, x1_step, x2_step, rank;
    int32_t either;
} thm_logical_u8_params;

THM_INLINE uint8_t thm_logical_one_u8(const thm_logical_u8_params *p, uint8_t a, uint8_t b)
{
    return p->either ? (a != 0 || b != 0) : (a != 0 && b != 0);
}

THM_KERNEL void thm_logical_u8(const thm_logical_u8_params *p, int32_t y_first, int32_t y_count,
                               const uint8_t *x1, const uint8_t *x2, const int32_t *walk,
                               uint8_t *y)
{
    THM_BINARY_ROWS(thm_logical_one_u8)
}

/* !x */
typedef struct {
    int32_t y_ring, x_ring, x_row;
} thm_logical_not_u8_params;

#define THM_LOGICAL_NOT_ONE(p, x) (x) == 0

THM_KERNEL void thm_logical_not_u8(const thm_logical_not_u8_params *p, int32_t y_first,
                                   int32_t y_count, const uint8_t *x, uint8_t *y)
{
    THM_UNARY_ROWS(THM_LOGICAL_NOT_ONE)
}

#endif
