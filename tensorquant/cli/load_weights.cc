#include "tensorquant/cli/load_weights.h"

#include <cstdio>

#include "tensorquant/cli/model_options.h"

namespace tensorquant::cli {

NonFinite load_weights(ImageClassifier& model, const std::string& path) {
  const Conversion conversion = load_checkpoint(model, path);
  if (conversion.tensors > 0) {
    const std::string rounded = conversion.rounded == 0
                                    ? std::string("all of them exactly")
                                    : std::to_string(conversion.rounded) + " of them rounded";
    std::fprintf(stderr, "tensorquant: note: %s: %zu numbers in %zu tensors made float32, %s\n",
                 path.c_str(), conversion.numbers, conversion.tensors, rounded.c_str());
  }
  NonFinite weights = non_finite_weights(model);
  if (weights.count > 0) {
    warn(path + ": NaN or infinite numbers: " + std::to_string(weights.count) + ", the first in '" +
         weights.first + "'");
  }
  return weights;
}

nlohmann::ordered_json to_json(const NonFinite& weights) {
  return {{"count", weights.count},
          {"first", weights.count == 0 ? nlohmann::ordered_json(nullptr)
                                       : nlohmann::ordered_json(weights.first)}};
}

}  // namespace tensorquant::cli
