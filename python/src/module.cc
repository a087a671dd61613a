// The module tensorquant._core: the C++ core for Python. It holds no maths.

#include <nanobind/nanobind.h>

#include "python/src/c_api.h"
#include "tensorquant/tensorquant.h"

namespace nb = nanobind;

NB_MODULE(_core, module) {
  nb::exception<tensorquant::Error>(module, "Error", PyExc_ValueError);
  tensorquant::bind_c_api(module);
}
