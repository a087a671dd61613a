// The table of C functions for Python, by addresses of memory: what PyTorch's op and the ops
// without a compiler call.

#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "python/src/axes.h"
#include "python/src/bindings.h"
#include "python/src/c_api.h"
#include "python/src/layer_operation.h"
#include "python/src/openmp_pool.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/quantizers/clipped_gradient.h"
#include "tensorquant/quantizers/format_list.h"
#include "tensorquant/quantizers/quantizer.h"

namespace nb = nanobind;

namespace tensorquant::python {
namespace {

using Address = std::uintptr_t;

template <class T>
T* pointer(Address address) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): Python holds addresses
  return reinterpret_cast<T*>(address);
}

TensorquantText text_of(std::string_view text) { return {text.data(), text.size()}; }

// call(error) returns what a function of the table does. It runs on the pool's threads, on those of
// the library without one.
template <class Call>
void checked(ThreadPool* pool, const Call& call) {
  std::optional<ScopedThreadPool> scope;
  if (pool != nullptr) scope.emplace(*pool);
  TensorquantError error;
  if (call(&error) != 0) throw Error(error.text);
}

TensorquantContext context_of(const Axes& axes, const TensorShape& shape, std::uint64_t seed = 0,
                              std::uint32_t stream = 0, std::uint32_t step = 0) {
  return {seed, stream, step, axes.data(), shape.data(), static_cast<int>(shape.size())};
}

void quantize(std::string_view spec, int type, const TensorShape& shape, Address x, Address y,
              std::uint64_t seed, std::uint32_t stream, std::uint32_t step, const Axes& axes,
              OpenMpPool* pool) {
  const nb::gil_scoped_release released;
  checked(pool, [&](TensorquantError* error) {
    return c_api().quantize(text_of(spec), type, pointer<void>(x), pointer<void>(y),
                            context_of(axes, shape, seed, stream, step), nullptr, error);
  });
}

void gradient(std::string_view spec, int type, const TensorShape& shape, Address x, Address y,
              Address dy, Address dx, const Axes& axes, OpenMpPool* pool) {
  const nb::gil_scoped_release released;
  checked(pool, [&](TensorquantError* error) {
    return c_api().gradient(text_of(spec), type, pointer<void>(x), pointer<void>(y),
                            pointer<void>(dy), pointer<void>(dx), context_of(axes, shape), nullptr,
                            error);
  });
}

void inside(std::string_view spec, int type, const TensorShape& shape, Address x, Address inside,
            const Axes& axes, OpenMpPool* pool) {
  const nb::gil_scoped_release released;
  checked(pool, [&](TensorquantError* error) {
    return c_api().inside(text_of(spec), type, pointer<void>(x), pointer<bool>(inside),
                          context_of(axes, shape), nullptr, error);
  });
}

nb::tuple shape_of_scales(std::string_view spec, const TensorShape& shape, const Axes& axes) {
  TensorShape sizes(shape.size());
  checked(nullptr, [&](TensorquantError* error) {
    return c_api().scales_shape(text_of(spec), context_of(axes, shape), sizes.data(), error);
  });
  return nb::tuple(nb::cast(sizes));
}

void scales(std::string_view spec, int type, const TensorShape& shape, Address x, Address scales,
            const Axes& axes, OpenMpPool* pool) {
  const nb::gil_scoped_release released;
  checked(pool, [&](TensorquantError* error) {
    return c_api().scales(text_of(spec), type, pointer<void>(x), pointer<void>(scales),
                          context_of(axes, shape), nullptr, error);
  });
}

std::vector<TensorquantTensor> tensors(const std::vector<TensorShape>& shapes,
                                       const std::vector<Address>& addresses) {
  std::vector<TensorquantTensor> result;
  result.reserve(shapes.size());
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    result.push_back({addresses.empty() ? nullptr : pointer<void>(addresses[i]), shapes[i].data(),
                      static_cast<int>(shapes[i].size())});
  }
  return result;
}

nb::tuple shape_of_result(std::string_view operation, const std::vector<TensorShape>& shapes) {
  std::int64_t sizes[TENSORQUANT_MOST_DIMENSIONS];
  int dimensions = 0;
  checked(nullptr, [&](TensorquantError* error) {
    return c_api().result_shape(text_of(operation), static_cast<int>(shapes.size()),
                                tensors(shapes, {}).data(), sizes, &dimensions, error);
  });
  return nb::tuple(nb::cast(TensorShape(sizes, sizes + dimensions)));
}

void arithmetic(std::string_view operation, int type, const std::vector<TensorShape>& shapes,
                const std::vector<Address>& inputs, Address y, Address outside, std::uint32_t step,
                OpenMpPool* pool) {
  const nb::gil_scoped_release released;
  checked(pool, [&](TensorquantError* error) {
    return c_api().arithmetic(text_of(operation), type, static_cast<int>(shapes.size()),
                              tensors(shapes, inputs).data(), pointer<void>(y),
                              pointer<bool>(outside), step, nullptr, error);
  });
}

std::string what_shares_a_scale(const Quantizer& quantizer) {
  const Scaled* const format = scaled_format(quantizer);
  if (format == nullptr) return "";
  switch (format->scale.per) {
    case Scale::Per::tensor:
      return "tensor";
    case Scale::Per::channel:
      return "channel";
    case Scale::Per::row:
      return "row";
    case Scale::Per::block:
      return "block";
  }
  throw Error("unknown scale");
}

// What an op has to know of a quantizer, tensorquant.ops.common.Traits; and whether it is built in,
// so that this never changes.
std::tuple<bool, bool, bool, bool, bool, bool, bool, bool, std::string, bool> traits(
    std::string_view spec) {
  const auto quantizer = make_quantizer(spec);
  return {quantizer->is_random(),
          is_elementwise(*quantizer),
          quantizer->is_straight_through(),
          clips_gradient(*quantizer),
          has_elementwise_gradient(*quantizer),
          quantizer->needs_layout(),
          needs_channels(*quantizer),
          is_idempotent(*quantizer),
          what_shares_a_scale(*quantizer),
          quantizer->format() != nullptr};
}

std::vector<std::string> examples() {
  std::vector<std::string> specs;
  for (const FormatEntry& entry : format_list()) {
    specs.insert(specs.end(), entry.examples.begin(), entry.examples.end());
  }
  return specs;
}

}  // namespace

void bind_c_api(nb::module_& module) {
  module.def("op_table", [] { return reinterpret_cast<Address>(&c_api()); });
  nb::class_<OpenMpPool>(module, "OpenMpPool")
      .def(nb::init<Address, Address>(), nb::arg("gomp_parallel"), nb::arg("omp_get_max_threads"));
  const auto pool = nb::arg("pool") = nb::none();
  module.def("op_quantize", &quantize, nb::arg("spec"), nb::arg("type"), nb::arg("shape"),
             nb::arg("x"), nb::arg("y"), nb::arg("seed"), nb::arg("stream"), nb::arg("step"),
             nb::arg("axes"), pool);
  module.def("op_gradient", &gradient, nb::arg("spec"), nb::arg("type"), nb::arg("shape"),
             nb::arg("x"), nb::arg("y"), nb::arg("dy"), nb::arg("dx"), nb::arg("axes"), pool);
  module.def("op_inside", &inside, nb::arg("spec"), nb::arg("type"), nb::arg("shape"), nb::arg("x"),
             nb::arg("inside"), nb::arg("axes"), pool);
  module.def("op_scales_shape", &shape_of_scales);
  module.def("op_scales", &scales, nb::arg("spec"), nb::arg("type"), nb::arg("shape"), nb::arg("x"),
             nb::arg("scales"), nb::arg("axes"), pool);
  module.def("op_result_shape", &shape_of_result);
  module.def("op_arithmetic", &arithmetic, nb::arg("operation"), nb::arg("type"), nb::arg("shapes"),
             nb::arg("inputs"), nb::arg("y"), nb::arg("outside"), nb::arg("step"), pool);
  module.def("op_check", [](std::string_view operation) { read_operation(operation); });
  module.def("op_traits", &traits);
  module.def("op_examples", &examples);
}

}  // namespace tensorquant::python
