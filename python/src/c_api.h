#ifndef TENSORQUANT_PYTHON_C_API_H_
#define TENSORQUANT_PYTHON_C_API_H_

#include <nanobind/nanobind.h>

#include "python/tensorquant/ops/native/tensorquant_api.h"

namespace tensorquant {

const TensorquantApi& c_api();

// Adds the table's address and what the ops in Python need to the module.
void bind_c_api(nanobind::module_& module);

}  // namespace tensorquant

#endif  // TENSORQUANT_PYTHON_C_API_H_
