// The module tensorquant._core: the C++ core for the Python package, which shapes it for people. It
// takes contiguous NumPy arrays alone and holds no maths.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include "python/src/bindings.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/base/random.h"

namespace nb = nanobind;
using namespace nb::literals;

NB_MODULE(_core, module) {
  // TensorFlow and Keras keep models alive until the end of the process, and so their quantizers.
  nb::set_leak_warnings(false);
  const nb::exception<tensorquant::Error> error(module, "Error", PyExc_ValueError);
  error.doc() = "Bad input to TensorQuant: one line that names the place and the reason.";
  error.attr("__module__") = "tensorquant";
  module.attr("__version__") = TENSORQUANT_VERSION;

  module.def("stream_of", &tensorquant::stream_of, "layer"_a, "role"_a);
  module.def("get_num_threads", &tensorquant::num_threads);
  module.def("set_num_threads", &tensorquant::set_num_threads, "threads"_a);

  tensorquant::python::bind_quantizers(module);
  tensorquant::python::bind_maps(module);
  tensorquant::python::bind_assign(module);
  tensorquant::python::bind_arithmetic(module);
  tensorquant::python::bind_calibration(module);
  tensorquant::python::bind_search(module);
  tensorquant::python::bind_report(module);
  tensorquant::python::bind_c_api(module);
  tensorquant::python::bind_device_formats(module);
  tensorquant::python::bind_onnx(module);
}
