#ifndef TENSORQUANT_KERNELS_KERNELS_H_
#define TENSORQUANT_KERNELS_KERNELS_H_

// quantize(format, in, out, context) for every format.
#include "tensorquant/kernels/fixed_point.h"
#include "tensorquant/kernels/floating_point.h"
#include "tensorquant/kernels/logarithmic.h"
#include "tensorquant/kernels/threshold.h"

#endif  // TENSORQUANT_KERNELS_KERNELS_H_
