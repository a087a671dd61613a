#ifndef TENSORQUANT_CLI_RANGE_TABLE_H_
#define TENSORQUANT_CLI_RANGE_TABLE_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tensorquant/libtorch/model/observers.h"

namespace tensorquant::cli {

// What products and sums have needed, for people and as JSON: {"layer", "products",
// "clamped_products", "sums", "clamped_sums", "largest_product", "lowest_sum", "highest_sum",
// "sufficient_bits"}, the last null where the accumulator is not fixed point.
std::string to_table(const std::vector<LayerRangeReport>& layers);
nlohmann::ordered_json to_json(const std::vector<LayerRangeReport>& layers);

// [{"layer": "conv1", "kernel": "fixed_int", "reason": "...", "calls": 8}]
nlohmann::ordered_json to_json(const std::vector<LayerKernelUse>& layers);

// What each quantizer has saturated and made zero, for people and as JSON: {"layer", "place",
// "quantizer", "bits", "scale_bits", "bits_per_value", "values", "saturated", "saturated_share",
// "nonzero", "became_zero", "became_zero_share", "lowest", "highest"}. Shares are those of the
// values and of the nonzero ones; null is what is not known, or is a share of nothing.
std::string to_table(const std::vector<LayerPlaceReport>& places);
nlohmann::ordered_json to_json(const std::vector<LayerPlaceReport>& places);

// "3 (25 %)": of the values, and of those that are not zero.
std::string saturated_text(const QuantizerReport& report);
std::string became_zero_text(const QuantizerReport& report);

// The same of tensors that belong to no layer.
std::string to_table(const std::vector<PlaceReport>& places);
nlohmann::ordered_json to_json(const PlaceReport& place);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_RANGE_TABLE_H_
