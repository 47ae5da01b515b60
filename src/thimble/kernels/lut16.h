/* A function of an int16 by a table of 513 entries, linear in between (lut16.py builds them). */
#ifndef THM_LUT16_H
#define THM_LUT16_H

#include "thm.h"

THM_INLINE int32_t thm_lut16(const int16_t *table, int32_t x)
{
    const int32_t k = 256 + (x >> 7), offset = x & 127;
    return table[k] + (((table[k + 1] - table[k]) * offset + 64) >> 7);
}

#endif
