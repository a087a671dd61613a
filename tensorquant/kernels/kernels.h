#ifndef TENSORQUANT_KERNELS_KERNELS_H_
#define TENSORQUANT_KERNELS_KERNELS_H_

#include <span>

#include "tensorquant/formats/format.h"

namespace tensorquant {

// out = quantize_reference(format, in), bit for bit, for every format. in and out have one size;
// they may be the same memory.
void quantize(const Identity& format, std::span<const float> in, std::span<float> out,
              const Context& context = {});
void quantize(const Identity& format, std::span<const double> in, std::span<double> out,
              const Context& context = {});
void quantize(const FixedPoint& format, std::span<const float> in, std::span<float> out,
              const Context& context = {});
void quantize(const FixedPoint& format, std::span<const double> in, std::span<double> out,
              const Context& context = {});
void quantize(const FloatingPoint& format, std::span<const float> in, std::span<float> out,
              const Context& context = {});
void quantize(const FloatingPoint& format, std::span<const double> in, std::span<double> out,
              const Context& context = {});
void quantize(const P3109& format, std::span<const float> in, std::span<float> out,
              const Context& context = {});
void quantize(const P3109& format, std::span<const double> in, std::span<double> out,
              const Context& context = {});
void quantize(const Posit& format, std::span<const float> in, std::span<float> out,
              const Context& context = {});
void quantize(const Posit& format, std::span<const double> in, std::span<double> out,
              const Context& context = {});
void quantize(const Logarithmic& format, std::span<const float> in, std::span<float> out,
              const Context& context = {});
void quantize(const Logarithmic& format, std::span<const double> in, std::span<double> out,
              const Context& context = {});
void quantize(const NormalFloat4& format, std::span<const float> in, std::span<float> out,
              const Context& context = {});
void quantize(const NormalFloat4& format, std::span<const double> in, std::span<double> out,
              const Context& context = {});
void quantize(const AdditivePowers& format, std::span<const float> in, std::span<float> out,
              const Context& context = {});
void quantize(const AdditivePowers& format, std::span<const double> in, std::span<double> out,
              const Context& context = {});
void quantize(const Sparse& format, std::span<const float> in, std::span<float> out,
              const Context& context = {});
void quantize(const Sparse& format, std::span<const double> in, std::span<double> out,
              const Context& context = {});
void quantize(const Binary& format, std::span<const float> in, std::span<float> out,
              const Context& context = {});
void quantize(const Binary& format, std::span<const double> in, std::span<double> out,
              const Context& context = {});
void quantize(const Ternary& format, std::span<const float> in, std::span<float> out,
              const Context& context = {});
void quantize(const Ternary& format, std::span<const double> in, std::span<double> out,
              const Context& context = {});

// ternary_threshold_reference(x), bit for bit, whatever the number of threads.
double ternary_threshold(std::span<const float> x);
double ternary_threshold(std::span<const double> x);

// dx = dy where limits.lowest <= x <= limits.highest, else 0; NaN gives 0. All have one size; dx
// may be dy.
void clip_gradient(Bounds<float> limits, std::span<const float> x, std::span<const float> dy,
                   std::span<float> dx);
void clip_gradient(Bounds<double> limits, std::span<const double> x, std::span<const double> dy,
                   std::span<double> dx);

}  // namespace tensorquant

#endif  // TENSORQUANT_KERNELS_KERNELS_H_
