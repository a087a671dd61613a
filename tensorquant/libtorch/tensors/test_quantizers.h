#ifndef TENSORQUANT_LIBTORCH_TENSORS_TEST_QUANTIZERS_H_
#define TENSORQUANT_LIBTORCH_TENSORS_TEST_QUANTIZERS_H_

#include <cmath>
#include <cstddef>
#include <span>
#include <string>

#include "tensorquant/libtorch/tensors/tensor_ops.h"
#include "tensorquant/maps/override.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// A user's own quantizer: y = floor(x), with the strange gradient dx = (x + 10 y + 100) dy, which
// shows all of its arguments.
class TestQuantizer : public Quantizer {
 public:
  using Quantizer::gradient;
  using Quantizer::quantize;
  void quantize(std::span<const float> in, std::span<float> out, const Context&) const override {
    floor(in, out);
  }
  void quantize(std::span<const double> in, std::span<double> out, const Context&) const override {
    floor(in, out);
  }
  void gradient(std::span<const float> x, std::span<const float> y, std::span<const float> dy,
                std::span<float> dx) const override {
    strange(x, y, dy, dx);
  }
  void gradient(std::span<const double> x, std::span<const double> y, std::span<const double> dy,
                std::span<double> dx) const override {
    strange(x, y, dy, dx);
  }
  std::string spec() const override { return "test"; }

 private:
  template <class T>
  static void floor(std::span<const T> in, std::span<T> out) {
    for (std::size_t i = 0; i < in.size(); ++i) out[i] = std::floor(in[i]);
  }
  template <class T>
  static void strange(std::span<const T> x, std::span<const T> y, std::span<const T> dy,
                      std::span<T> dx) {
    for (std::size_t i = 0; i < x.size(); ++i) dx[i] = (x[i] + 10 * y[i] + 100) * dy[i];
  }
};

// Overrides with one quantizer for all layers.
inline Override weights_with(const std::string& spec) {
  Override maps;
  maps.weights = QuantizerMap({{"", spec}}, MapKind::weights);
  return maps;
}
inline Override outputs_with(const std::string& spec) {
  Override maps;
  maps.extrinsic = QuantizerMap({{"", spec}}, MapKind::extrinsic);
  return maps;
}
inline Override everything_with(const std::string& spec) {
  Override maps = weights_with(spec);
  maps.extrinsic = outputs_with(spec).extrinsic;
  return maps;
}

inline at::Tensor quantized(const at::Tensor& x, const char* spec = "nearest,8,4") {
  return quantize(x.detach(), *make_quantizer(spec));
}

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_TENSORS_TEST_QUANTIZERS_H_
