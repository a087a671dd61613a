#ifndef TENSORQUANT_CLI_ACCUMULATORS_H_
#define TENSORQUANT_CLI_ACCUMULATORS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tensorquant/cli/search_setup.h"
#include "tensorquant/search/accumulator_search.h"
#include "tensorquant/search/cost.h"

namespace tensorquant::cli {

// Of a layer with products. Without a fraction it stays as it is: its products are no integers
// times a power of two.
struct Accumulator {
  std::string layer;
  std::int64_t macs = 0;
  std::optional<int> fraction;
  int bits = 0;                   // nearest,bits,fraction
  int seen = 0;                   // enough for all sums on some images
  std::optional<int> worst_case;  // enough for all inputs
};
using Accumulators = std::vector<Accumulator>;

// Of all layers with products under these maps, wide enough for all inputs, or of as many bits as
// arithmetic takes. The fraction is that of exact products, or the one given.
Accumulators wide_accumulators(SearchSetup& setup, const CostFunction& cost, const Override& maps,
                               std::optional<int> fraction);

// The maps with those accumulators inside the layers; exact products.
Override with_accumulators(Override maps, const Accumulators& accumulators);

// Sets `seen`, and `bits` to it, by one evaluation on the images; the store keeps what it found.
void see_sums(SearchSetup& setup, const SearchedSamples& samples, const Override& maps,
              Accumulators& accumulators);

// Takes bits from them as narrow_accumulators() does, the layers with most products first. Returns
// whether the margin holds.
bool narrow(const std::function<LogitMetrics(const Override&)>& evaluate, const Override& maps,
            double margin, Accumulators& accumulators);

// [{"layer": ..., "macs": ..., "fraction": ..., "given": ..., "seen": ..., "worst_case": ...}]
nlohmann::ordered_json to_json(const Accumulators& accumulators);
// The same for people.
std::string table_of_accumulators(const nlohmann::ordered_json& report);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_ACCUMULATORS_H_
