#ifndef TENSORQUANT_CLI_LAYER_DIFFERENCE_H_
#define TENSORQUANT_CLI_LAYER_DIFFERENCE_H_

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tensorquant::cli {

// How far the second tensor of a layer is from the first, which is the signal.
struct LayerDifference {
  std::string layer;
  std::size_t elements = 0;
  std::size_t differing = 0;
  double largest_error = 0;  // NaN where one side is NaN and the other is not
  std::optional<double> sqnr_db =
      {};  // signal-to-quantization-noise ratio; nothing where the noise is zero
};

// T: float, double.
template <class T>
LayerDifference difference_of(std::string layer, std::span<const T> a, std::span<const T> b);

std::string to_table(const std::vector<LayerDifference>& differences);
nlohmann::ordered_json to_json(const std::vector<LayerDifference>& differences);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_LAYER_DIFFERENCE_H_
