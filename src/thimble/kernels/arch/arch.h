/* The arithmetic layer of the core that is compiled for. */
#ifndef THM_ARCH_H
#define THM_ARCH_H

#if defined(__ARM_FEATURE_MVE)
#include "mve.h"
#else
#include "scalar.h"
#endif

#endif
