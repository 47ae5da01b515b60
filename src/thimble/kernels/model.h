/* What the header of a generated model includes. */
#ifndef THM_MODEL_H
#define THM_MODEL_H

#include "thm.h"

typedef enum {
    THM_FLOAT32,
    THM_INT8,
    THM_INT16,
    THM_INT32,
    THM_INT64,
    THM_UINT8,
    THM_BOOL,
    THM_UINT32
} thm_dtype;

/* One model input or output: real = scale * (q - zero_point) where scale is not 0. */
typedef struct {
    const char *name;
    thm_dtype dtype;
    int32_t rank;
    int32_t shape[8];
    float scale;
    int32_t zero_point;
} thm_tensor_info;

/* A layer of a generated model: one symbol each, so that instructions can be told apart. */
#define THM_LAYER static THM_NOINLINE

/* An attribute of all constants, such as a section of external flash or of memory that the start-up
 * code fills; nothing unless the build defines it. */
#ifndef THM_WEIGHTS
#define THM_WEIGHTS
#endif

#endif
