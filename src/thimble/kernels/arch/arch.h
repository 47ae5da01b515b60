/* The arithmetic layer of the core that is compiled for. */
#ifndef THM_ARCH_H
#define THM_ARCH_H

#include "scalar.h"

#endif
