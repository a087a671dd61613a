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

  module.def("stream_of", &tensorquant::stream_of, "layer"_a, "role"_a,
             R"(Where the random numbers of one tensor of a network come from.

Args:
    layer: The layer's full name.
    role: weight, bias, output, product or accumulator.

Returns:
    The stream, an integer of 32 bits.

Example:
    >>> import numpy as np
    >>> import tensorquant as tq
    >>> q, x = tq.Quantizer("stochastic,8,0"), np.full(4, 0.5, np.float32)
    >>> q(x, stream=tq.stream_of("conv1", "weight"))
    array([0., 0., 1., 0.], dtype=float32)
    >>> q(x, stream=tq.stream_of("conv1", "bias"))
    array([0., 1., 1., 0.], dtype=float32)
)");
  module.def("get_num_threads", &tensorquant::num_threads,
             R"(How many threads a call can use.

Returns:
    Their number, 1 or more.

Example:
    >>> import tensorquant as tq
    >>> tq.get_num_threads() >= 1
    True
)");
  module.def(
      "set_num_threads",
      [](int threads) {
        if (threads < 0) throw tensorquant::Error("set_num_threads: the number is negative");
        tensorquant::set_num_threads(threads);
      },
      "threads"_a,
      R"(Sets how many threads all calls in this process use. Results do not depend on it.

Args:
    threads: Their number; 0 for as many as the machine has.

Raises:
    Error: The number is negative.

Example:
    >>> import tensorquant as tq
    >>> tq.set_num_threads(1)
    >>> tq.get_num_threads()
    1
    >>> tq.set_num_threads(0)
)");

  tensorquant::python::bind_quantizers(module);
  tensorquant::python::bind_maps(module);
  tensorquant::python::bind_arithmetic(module);
  tensorquant::python::bind_c_api(module);
}
