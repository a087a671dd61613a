#include "python/src/python_quantizer.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "tensorquant/base/error.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace tensorquant::python {
namespace {

[[noreturn]] void throw_shut_down(const std::string& spec) {
  throw Error("quantizer '" + spec + "' is written in Python, which has shut down");
}

// The interpreter's lock; an Error where there is no interpreter any more.
class Interpreter {
 public:
  explicit Interpreter(const std::string& spec) {
    if (!lock_) throw_shut_down(spec);
  }

 private:
  nb::gil_scoped_acquire lock_;
};

// All that live; guarded by the interpreter's lock.
std::unordered_set<PythonQuantizer*>& living() {
  static auto* instance = new std::unordered_set<PythonQuantizer*>();  // outlives every destructor
  return *instance;
}

// A copy, for Python may keep it.
template <class T>
nb::object to_numpy(std::span<const T> values) {
  nb::ndarray<nb::numpy, const T> view(values.data(), {values.size()});
  return view.cast(nb::rv_policy::copy);
}

// tensorquant.Layout or None.
nb::object to_python(const std::optional<Layout>& layout) {
  if (!layout) return nb::none();
  const nb::module_ module = nb::module_::import_("tensorquant.numbers.context");
  const auto axis = [&](const Axis& a) { return module.attr("Axis")(a.outer, a.length, a.inner); };
  return module.attr("Layout")(axis(layout->channel), axis(layout->reduction));
}

// Copies what a method returned.
template <class T>
void from_numpy(const std::string& spec, const char* method, nb::handle result, std::span<T> out) {
  nb::ndarray<const T, nb::ndim<1>, nb::device::cpu> values;
  const bool is_array = nb::isinstance(result, nb::module_::import_("numpy").attr("ndarray"));
  if (!is_array || !nb::try_cast(result, values, false) || values.shape(0) != out.size()) {
    const std::string found =
        is_array
            ? nb::str("{} of shape {}").format(result.attr("dtype"), result.attr("shape")).c_str()
            : nb::type_name(result.type()).c_str();
    throw Error("quantizer '" + spec + "': " + method + "() returned " + found +
                ", expected a NumPy array, " + (sizeof(T) == 4 ? "float32" : "float64") +
                " of shape (" + std::to_string(out.size()) + ",)");
  }
  const auto view = values.view();
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = view(i);
}

}  // namespace

PythonQuantizer::PythonQuantizer(nb::object quantizer) {
  std::tie(spec_, is_random_, is_straight_through_, needs_layout_) =
      nb::cast<std::tuple<std::string, bool, bool, bool>>(quantizer.attr("_traits"));
  living().insert(this);
  object_ = quantizer.release();
}

PythonQuantizer::~PythonQuantizer() {
  if (nb::detail::cleanup_guard guard{}) release();
}

void PythonQuantizer::release() {
  living().erase(this);
  std::exchange(object_, nb::handle()).dec_ref();
}

void PythonQuantizer::release_all() {
  // What lets go of an object may destroy others of these.
  while (!living().empty()) (*living().begin())->release();
}

nb::handle PythonQuantizer::usable_object() const {
  if (!object_) throw_shut_down(spec_);
  return object_;
}

template <class T>
void PythonQuantizer::quantize_any(std::span<const T> in, std::span<T> out,
                                   const Context& context) const {
  const Interpreter interpreter(spec_);
  const nb::object quantizer = nb::borrow(usable_object());
  const nb::object x = to_numpy(in);
  nb::dict wanted;
  if (is_random_) {
    wanted["seed"] = context.seed;
    wanted["stream"] = context.stream;
    wanted["step"] = context.step;
  }
  if (needs_layout_) wanted["layout"] = to_python(context.layout);
  const nb::object y = quantizer.attr("quantize")(x, **wanted);
  from_numpy(spec_, "quantize", y, out);
}

template <class T>
void PythonQuantizer::gradient_any(std::span<const T> x, std::span<const T> y,
                                   std::span<const T> dy, std::span<T> dx,
                                   const Context& context) const {
  if (is_straight_through_) return Quantizer::gradient(x, y, dy, dx);
  const Interpreter interpreter(spec_);
  const nb::object quantizer = nb::borrow(usable_object());
  nb::dict wanted;
  if (needs_layout_) wanted["layout"] = to_python(context.layout);
  from_numpy(spec_, "gradient",
             quantizer.attr("gradient")(to_numpy(x), to_numpy(y), to_numpy(dy), **wanted), dx);
}

void PythonQuantizer::quantize(std::span<const float> in, std::span<float> out,
                               const Context& context) const {
  quantize_any(in, out, context);
}
void PythonQuantizer::quantize(std::span<const double> in, std::span<double> out,
                               const Context& context) const {
  quantize_any(in, out, context);
}
void PythonQuantizer::gradient(std::span<const float> x, std::span<const float> y,
                               std::span<const float> dy, std::span<float> dx) const {
  gradient_any(x, y, dy, dx, {});
}
void PythonQuantizer::gradient(std::span<const double> x, std::span<const double> y,
                               std::span<const double> dy, std::span<double> dx) const {
  gradient_any(x, y, dy, dx, {});
}
void PythonQuantizer::gradient(std::span<const float> x, std::span<const float> y,
                               std::span<const float> dy, std::span<float> dx,
                               const Context& context) const {
  gradient_any(x, y, dy, dx, context);
}
void PythonQuantizer::gradient(std::span<const double> x, std::span<const double> y,
                               std::span<const double> dy, std::span<double> dx,
                               const Context& context) const {
  gradient_any(x, y, dy, dx, context);
}

std::shared_ptr<const Quantizer> make_registered(SpecReader& reader) {
  const Interpreter interpreter(reader.spec());
  const nb::object make = nb::module_::import_("tensorquant.numbers.user_quantizer").attr("_make");
  return std::make_shared<PythonQuantizer>(
      make(reader.name(), reader.take_arguments(), reader.take_keywords()));
}

}  // namespace tensorquant::python
