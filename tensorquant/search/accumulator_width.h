#ifndef TENSORQUANT_SEARCH_ACCUMULATOR_WIDTH_H_
#define TENSORQUANT_SEARCH_ACCUMULATOR_WIDTH_H_

#include <cstdint>
#include <optional>
#include <span>

#include "tensorquant/search/operand.h"

namespace tensorquant {

// The ends of the codes of a layer's inputs; 0 lies between them.
struct CodeRange {
  double low, high;
};

// The bits of a two's-complement accumulator that overflows for no input and in no order of
// additions, of the layer with these weights: rows of `terms` codes, a row for each output channel,
// and each channel's bias in units of the products, or no bias at all. Sums are exact below 2^53.
int worst_case_bits(std::span<const std::int64_t> weights, std::int64_t terms,
                    std::span<const double> biases, CodeRange inputs);

// The same from formats alone, without a bias: I. Colbert, A. Pappalardo, J. Petri-Koenig, "A2Q:
// Accumulator-aware quantization with guaranteed overflow avoidance", arXiv:2308.13504. Nothing
// where the products are no whole numbers of one unit. At least one term.
std::optional<int> worst_case_bits(std::int64_t terms, const Operand& weight, const Operand& input);

}  // namespace tensorquant

#endif  // TENSORQUANT_SEARCH_ACCUMULATOR_WIDTH_H_
