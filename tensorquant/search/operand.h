#ifndef TENSORQUANT_SEARCH_OPERAND_H_
#define TENSORQUANT_SEARCH_OPERAND_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// The numbers of a tensor as hardware would hold them. As it stands here: float32.
struct Operand {
  int bits = 32;            // of a number
  double stored_bits = 32;  // in memory, with its part of the scales that blocks share
  bool is_float = true;
  // False where a product with it takes no multiplier: its magnitudes are powers of two, or one.
  bool multiplies = true;
  // Where its numbers are whole codes times a scale: no code's magnitude is beyond
  // 2^magnitude_bits. Nothing for floats and powers of two, with zero points and with scales that
  // differ within a dot product.
  std::optional<int> magnitude_bits = {};
  bool has_channel_scales = false;  // one for each channel, else one for all
  std::optional<FixedPoint> fixed_point =
      {};  // where its numbers are integers times a power of two

  bool operator==(const Operand&) const = default;
};

// Of what the quantizer gives; float32 for null, for none and for a user's own quantizer.
Operand operand_of(const Quantizer* quantizer);

// The bits of a tensor's codes, which are integers: value = code * scale.
struct CodeCounts {
  std::uint64_t zeros = 0;
  std::uint64_t span_bits = 0;  // of all codes, from the highest to the lowest bit that is set
};

// Of quantized values. Any scale that is a power of two gives the same counts, so they are those of
// the values. Nothing where the quantizer scales by other numbers, or a value is not finite.
std::optional<CodeCounts> count_codes(const Quantizer* quantizer, std::span<const float> quantized);

}  // namespace tensorquant

#endif  // TENSORQUANT_SEARCH_OPERAND_H_
