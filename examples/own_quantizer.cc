// A quantizer of your own, in maps and on the whole command line.
//
//   own_quantizer describe leaky_clip,4,1 0.3 5
//   own_quantizer evaluate --model lenet --checkpoint lenet.safetensors --weights leaky_clip,4,1
//
// Build it against an installed TensorQuant with
//   find_package(tensorquant REQUIRED)
//   target_link_libraries(own_quantizer PRIVATE tensorquant::cli)

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>

#include "tensorquant/cli/command_line.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tensorquant/quantizers/registry.h"

namespace {

// Clips to [-limit, limit] and rounds to 2^(bits-1) - 1 equal steps on each side. Unlike
// grad=clipped, clipped values still learn a little: a tenth of their gradient passes.
class LeakyClip : public tensorquant::Quantizer {
 public:
  LeakyClip(int bits, double limit) : bits_(bits), limit_(limit) {}

  void quantize(std::span<const float> in, std::span<float> out,
                const tensorquant::Context&) const override {
    apply(in, out);
  }
  void quantize(std::span<const double> in, std::span<double> out,
                const tensorquant::Context&) const override {
    apply(in, out);
  }
  void gradient(std::span<const float> x, std::span<const float>, std::span<const float> dy,
                std::span<float> dx) const override {
    leak(x, dy, dx);
  }
  void gradient(std::span<const double> x, std::span<const double>, std::span<const double> dy,
                std::span<double> dx) const override {
    leak(x, dy, dx);
  }
  std::string spec() const override {
    return "leaky_clip," + std::to_string(bits_) + "," + tensorquant::shortest_decimal(limit_);
  }

 private:
  template <class T>
  void apply(std::span<const T> in, std::span<T> out) const {
    const double step = limit_ / (std::ldexp(1.0, bits_ - 1) - 1);
    std::transform(in.begin(), in.end(), out.begin(), [&](double x) {
      return static_cast<T>(std::nearbyint(std::clamp(x, -limit_, limit_) / step) * step);
    });
  }
  template <class T>
  void leak(std::span<const T> x, std::span<const T> dy, std::span<T> dx) const {
    for (std::size_t i = 0; i < x.size(); ++i) {
      dx[i] = std::abs(x[i]) <= limit_ ? dy[i] : dy[i] / 10;
    }
  }

  int bits_;
  double limit_;
};

}  // namespace

int main(int argc, char** argv) {
  tensorquant::register_quantizer(
      "leaky_clip", "leaky_clip,W,LIMIT",
      "2^W - 1 values, evenly from -LIMIT to LIMIT; clipped values keep a tenth of their gradient",
      [](tensorquant::SpecReader& spec) -> std::shared_ptr<const tensorquant::Quantizer> {
        const int bits = spec.integer("W", 2, 16);
        return std::make_shared<LeakyClip>(bits, spec.number("LIMIT", true));
      });
  return tensorquant::cli::run_command_line(argc, argv);
}
