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

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_RANGE_TABLE_H_
