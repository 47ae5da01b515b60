/* Elements whose type or size is a parameter: `type` is a thm_dtype. All of it folds away where the
 * parameter is a constant. */
#ifndef THM_ELEMENT_H
#define THM_ELEMENT_H

#include "model.h"

/* Element i of an integer or bool array. */
THM_INLINE int64_t thm_load_int(const void *x, int32_t i, int32_t type)
{
    switch (type) {
    case THM_INT8:
        return ((const int8_t *)x)[i];
    case THM_INT16:
        return ((const int16_t *)x)[i];
    case THM_INT32:
        return ((const int32_t *)x)[i];
    case THM_INT64:
        return ((const int64_t *)x)[i];
    case THM_UINT32:
        return ((const uint32_t *)x)[i];
    case THM_BOOL:
        return ((const uint8_t *)x)[i] != 0;
    default:
        return ((const uint8_t *)x)[i];
    }
}

/* Element i of an integer or bool array becomes `value`, wrapped around to the type. */
THM_INLINE void thm_store_int(void *y, int32_t i, int32_t type, int64_t value)
{
    switch (type) {
    case THM_INT8:
        ((int8_t *)y)[i] = (int8_t)value;
        break;
    case THM_INT16:
        ((int16_t *)y)[i] = (int16_t)value;
        break;
    case THM_INT32:
        ((int32_t *)y)[i] = (int32_t)value;
        break;
    case THM_INT64:
        ((int64_t *)y)[i] = value;
        break;
    case THM_UINT32:
        ((uint32_t *)y)[i] = (uint32_t)value;
        break;
    case THM_BOOL:
        ((uint8_t *)y)[i] = value != 0;
        break;
    default:
        ((uint8_t *)y)[i] = (uint8_t)value;
        break;
    }
}

/* y = x, `bytes` of them, between distinct memories. The small cases are single moves where the
 * call of memcpy would cost more than the copy. */
THM_INLINE void thm_copy_run(uint8_t *y, const uint8_t *x, int32_t bytes)
{
    if (bytes == 1) {
        *y = *x;
    } else if (bytes == 2) {
        memcpy(y, x, 2);
    } else if (bytes == 4) {
        memcpy(y, x, 4);
    } else if (bytes > 0) {
        memcpy(y, x, (size_t)bytes);
    }
}

/* `bytes` of y become copies of the element of `item` bytes at `value`. */
THM_INLINE void thm_fill_run(uint8_t *y, const uint8_t *value, int32_t item, int32_t bytes)
{
    if (item == 1) {
        if (bytes > 0) {
            memset(y, value[0], (size_t)bytes);
        }
        return;
    }
    for (int32_t i = 0; i < bytes; i += item) {
        thm_copy_run(y + i, value, item);
    }
}

#endif
