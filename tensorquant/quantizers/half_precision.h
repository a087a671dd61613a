#ifndef TENSORQUANT_QUANTIZERS_HALF_PRECISION_H_
#define TENSORQUANT_QUANTIZERS_HALF_PRECISION_H_

#include <cstdint>
#include <span>

#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// The 16-bit floats of tensors, as their bits.
struct Float16 {  // IEEE 754 binary16
  std::uint16_t bits;
};
struct BFloat16 {  // the upper half of a float32
  std::uint16_t bits;
};

// The type as a format.
template <class Half>
FloatingPoint format_of();

// Exact; NaN keeps its payload. Both spans have one size.
void to_float(std::span<const Float16> in, std::span<float> out);
void to_float(std::span<const BFloat16> in, std::span<float> out);

// The nearest value of the type, ties to even, infinity beyond; NaN keeps the payload's high bits.
void from_float(std::span<const float> in, std::span<Float16> out);
void from_float(std::span<const float> in, std::span<BFloat16> out);

// What the quantizer does with the numbers as float32, rounded to the type, ties to even: where the
// type has all values of the quantizer's format (format.h: fits()) they are exact. The spans are as
// in Quantizer.
template <class Half>
void quantize(const Quantizer& quantizer, std::span<const Half> in, std::span<Half> out,
              const Context& context = {});
template <class Half>
void gradient(const Quantizer& quantizer, std::span<const Half> x, std::span<const Half> y,
              std::span<const Half> dy, std::span<Half> dx, const Context& context = {});

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_HALF_PRECISION_H_
