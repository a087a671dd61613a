#ifndef TENSORQUANT_SEARCH_COST_H_
#define TENSORQUANT_SEARCH_COST_H_

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensorquant/search/layer_facts.h"
#include "tensorquant/search/operand.h"
#include "tensorquant/search/technology.h"

namespace tensorquant {

// What a map makes of one layer's tensors.
struct LayerFormats {
  Operand weight, bias;
  std::optional<Operand> output;      // nothing: the map leaves it alone
  std::optional<int> accumulator;     // bits, where the map rounds the arithmetic
  std::optional<CodeCounts> weights;  // of the quantized weights, where they are at hand
};

// Of one layer and one input of the model. Only layers with multiply-accumulates have more than
// parameter_bits.
struct LayerCost {
  double parameter_bits = 0;  // weights and biases in memory
  Operand input;              // what the layer multiplies its weights with
  double input_bits = 0, output_bits = 0;
  double traffic = 0;  // bits of weights, biases, inputs and outputs, once each
  double bops = 0;     // bit operations: products of the factors' widths, over all products
  std::optional<double> bops_without_zeros;  // of weights whose code is not 0
  std::optional<double> ebops;  // in place of a weight's width, that from its code's highest to its
                                // lowest bit; and the biases' bits
  double energy = 0;            // pJ
};

// Of the layers, added up.
struct MapCost {
  std::vector<LayerCost> layers;
  double bits = 0;  // of all parameters
  double peak = 0;  // the largest sum of a layer's input and output bits
  double traffic = 0, bops = 0;
  std::optional<double> bops_without_zeros, ebops;
  double energy = 0;
};

// Costs of maps of one model: facts in the order of execution, and the format of its input. A layer
// that is called again has facts of its own for each call, whose parameters lie in memory once; its
// name as a source is that of the last call before. Throws an Error for layers in another order and
// counts that cannot be.
//
// A layer reads its input in the format in which the quantizer before it left it. An output that
// nothing quantizes and that a single layer without products reads, such as a batch norm's, never
// leaves the chip: it is stored as that layer's output. Accumulators whose width nothing tells have
// the worst case of the formats, and 32 bits where there is none, as with floats. All data lie in
// one memory that holds the parameters and the peak.
class CostFunction {
 public:
  CostFunction(std::vector<LayerFacts> facts, Technology technology, Operand model_input = {});

  // Of a map that makes these of the layers. Throws an Error for another number of them.
  MapCost operator()(std::span<const LayerFormats> formats) const;
  const std::vector<LayerFacts>& facts() const { return facts_; }

 private:
  std::vector<LayerFacts> facts_;
  Technology technology_;
  Operand model_input_;
  std::vector<std::vector<std::size_t>> sources_, readers_;  // of each layer, by number
  std::vector<bool> is_repeated_;                            // called before
};

// What a search can save step by step, so not the peak, a maximum: "bits", "traffic", "bops",
// "ebops", "energy".
const std::vector<std::string>& cost_names();
// That number; nothing where it is not known. Throws an Error for another name.
std::optional<double> known_cost(const MapCost& cost, std::string_view name);
// Throws an Error where it is not known, too.
double cost_named(const MapCost& cost, std::string_view name);

}  // namespace tensorquant

#endif  // TENSORQUANT_SEARCH_COST_H_
