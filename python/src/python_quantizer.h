#ifndef TENSORQUANT_PYTHON_SRC_PYTHON_QUANTIZER_H_
#define TENSORQUANT_PYTHON_SRC_PYTHON_QUANTIZER_H_

#include <nanobind/nanobind.h>

#include <memory>
#include <span>
#include <string>

#include "tensorquant/quantizers/quantizer.h"
#include "tensorquant/quantizers/spec_reader.h"

namespace tensorquant::python {

// A quantizer that is an object of Python, for the core. It can be used and destroyed by threads
// that do not hold the interpreter's lock. What Python raises goes through the core as
// nanobind::python_error.
class PythonQuantizer final : public Quantizer {
 public:
  explicit PythonQuantizer(nanobind::object quantizer);
  ~PythonQuantizer() override;
  PythonQuantizer(const PythonQuantizer&) = delete;
  PythonQuantizer& operator=(const PythonQuantizer&) = delete;

  void quantize(std::span<const float> in, std::span<float> out,
                const Context& context) const override;
  void quantize(std::span<const double> in, std::span<double> out,
                const Context& context) const override;
  void gradient(std::span<const float> x, std::span<const float> y, std::span<const float> dy,
                std::span<float> dx) const override;
  void gradient(std::span<const double> x, std::span<const double> y, std::span<const double> dy,
                std::span<double> dx) const override;
  void gradient(std::span<const float> x, std::span<const float> y, std::span<const float> dy,
                std::span<float> dx, const Context& context) const override;
  void gradient(std::span<const double> x, std::span<const double> y, std::span<const double> dy,
                std::span<double> dx, const Context& context) const override;
  std::string spec() const override { return spec_; }
  bool is_random() const override { return is_random_; }
  bool needs_layout() const override { return needs_layout_; }
  bool is_straight_through() const override { return is_straight_through_; }

  // The tensorquant.Quantizer of Python.
  nanobind::handle object() const { return object_; }

  // Lets go of the objects of all that live, which cannot be used from then on. For the end of the
  // interpreter: an object's class refers to its module, and a map in that module to the object,
  // which no garbage collector can see through the core.
  static void release_all();

 private:
  // Takes the interpreter's lock beforehand.
  nanobind::handle usable_object() const;
  void release();

  template <class T>
  void quantize_any(std::span<const T> in, std::span<T> out, const Context& context) const;
  template <class T>
  void gradient_any(std::span<const T> x, std::span<const T> y, std::span<const T> dy,
                    std::span<T> dx, const Context& context) const;

  nanobind::handle object_;  // a reference of our own; null once it is released
  std::string spec_;
  bool is_random_ = false;
  bool is_straight_through_ = false;
  bool needs_layout_ = false;
};

// What the core calls for a string whose name was registered from Python. It holds nothing of
// Python: the package's own list knows the factory.
std::shared_ptr<const Quantizer> make_registered(SpecReader& reader);

}  // namespace tensorquant::python

#endif  // TENSORQUANT_PYTHON_SRC_PYTHON_QUANTIZER_H_
