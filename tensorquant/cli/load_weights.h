#ifndef TENSORQUANT_CLI_LOAD_WEIGHTS_H_
#define TENSORQUANT_CLI_LOAD_WEIGHTS_H_

#include <nlohmann/json.hpp>
#include <string>

#include "tensorquant/models/checkpoint.h"
#include "tensorquant/models/model.h"

namespace tensorquant::cli {

// load_checkpoint(), with a note on stderr where numbers were converted to float32 and a warning
// where some are NaN or infinite; returns these.
NonFinite load_weights(ImageClassifier& model, const std::string& path);

// {"count": 3, "first": "conv1.weight"}; null for the name where there are none.
nlohmann::ordered_json to_json(const NonFinite& weights);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_LOAD_WEIGHTS_H_
