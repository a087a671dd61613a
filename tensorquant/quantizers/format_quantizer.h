#ifndef TENSORQUANT_QUANTIZERS_FORMAT_QUANTIZER_H_
#define TENSORQUANT_QUANTIZERS_FORMAT_QUANTIZER_H_

#include <string>

#include "tensorquant/quantizers/format_list.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// The quantizer of a built-in format.
class FormatQuantizer final : public Quantizer {
 public:
  enum class Gradient {
    straight_through,  // dx = dy
    clipped,           // dx = dy within the format's extreme values, else 0
  };

  // `entry` is a line of format_list().
  FormatQuantizer(const FormatEntry& entry, const Format& format, Gradient gradient);

  void quantize(std::span<const float> in, std::span<float> out,
                const Context& context) const override;
  void quantize(std::span<const double> in, std::span<double> out,
                const Context& context) const override;
  void gradient(std::span<const float> x, std::span<const float> y, std::span<const float> dy,
                std::span<float> dx) const override {
    gradient(x, y, dy, dx, {});
  }
  void gradient(std::span<const double> x, std::span<const double> y, std::span<const double> dy,
                std::span<double> dx) const override {
    gradient(x, y, dy, dx, {});
  }
  void gradient(std::span<const float> x, std::span<const float> y, std::span<const float> dy,
                std::span<float> dx, const Context& context) const override;
  void gradient(std::span<const double> x, std::span<const double> y, std::span<const double> dy,
                std::span<double> dx, const Context& context) const override;
  std::string spec() const override { return spec_; }
  bool is_random() const override;
  bool needs_layout() const override;
  bool is_straight_through() const override { return gradient_ == Gradient::straight_through; }
  const Format* format() const override { return &format_; }

 private:
  Format format_;
  Gradient gradient_;
  std::string spec_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_FORMAT_QUANTIZER_H_
