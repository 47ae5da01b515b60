/* Which taps of a sliding window lie inside the image. */
#ifndef THM_WINDOW_H
#define THM_WINDOW_H

#include "thm.h"

/* First and one past the last tap k with 0 <= start + k * dilation < size. */
THM_INLINE int32_t thm_first_tap(int32_t start, int32_t dilation)
{
    return start >= 0 ? 0 : (-start + dilation - 1) / dilation;
}

THM_INLINE int32_t thm_end_tap(int32_t start, int32_t dilation, int32_t taps, int32_t size)
{
    return start + (taps - 1) * dilation < size ? taps
                                                : thm_max((size - start + dilation - 1) / dilation, 0);
}

#endif
