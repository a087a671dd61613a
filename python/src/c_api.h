#ifndef TENSORQUANT_PYTHON_SRC_C_API_H_
#define TENSORQUANT_PYTHON_SRC_C_API_H_

#include "python/tensorquant/ops/native/tensorquant_api.h"

namespace tensorquant::python {

const TensorquantApi& c_api();

}  // namespace tensorquant::python

#endif  // TENSORQUANT_PYTHON_SRC_C_API_H_
