#ifndef TENSORQUANT_SEARCH_LAYER_FACTS_H_
#define TENSORQUANT_SEARCH_LAYER_FACTS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace tensorquant {

// What a layer computes for one input of the model, whatever its formats are. Counts are of
// elements.
struct LayerFacts {
  std::string layer;
  std::string type;        // for people: "Conv2d"
  std::int64_t macs = 0;   // multiply-accumulates; 0 but for linear layers and convolutions
  std::int64_t terms = 0;  // products in the sum of an output
  std::int64_t weights = 0, biases = 0;
  std::int64_t inputs = 0, outputs = 0;
  // The layers before it whose outputs it reads; none where that is the model's input.
  std::vector<std::string> sources = {};
  bool moves_values = false;  // its output is in the format of its input

  // How often each weight is multiplied.
  std::int64_t uses() const { return weights == 0 ? 0 : macs / weights; }
};

}  // namespace tensorquant

#endif  // TENSORQUANT_SEARCH_LAYER_FACTS_H_
