#ifndef TENSORQUANT_PYTHON_HALF_TYPES_H_
#define TENSORQUANT_PYTHON_HALF_TYPES_H_

#include <cstdint>
#include <span>

namespace tensorquant {

// The bits of an IEEE binary16 and of a bfloat16 number.
enum class Float16 : std::uint16_t {};
enum class BFloat16 : std::uint16_t {};

// Exact; NaN keeps its payload. Both spans have one size.
void to_float(std::span<const Float16> x, std::span<float> y);
void to_float(std::span<const BFloat16> x, std::span<float> y);

// The nearest value of the type, ties to even, infinity beyond; NaN keeps the payload's high bits.
void from_float(std::span<const float> x, std::span<Float16> y);
void from_float(std::span<const float> x, std::span<BFloat16> y);

}  // namespace tensorquant

#endif  // TENSORQUANT_PYTHON_HALF_TYPES_H_
