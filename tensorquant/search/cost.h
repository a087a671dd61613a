#ifndef TENSORQUANT_SEARCH_COST_H_
#define TENSORQUANT_SEARCH_COST_H_

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

// Facts in the order of execution, the formats of each, and that of the model's input.
//
// A layer reads its input in the format in which the quantizer before it left it. An output that
// nothing quantizes and that a single layer without products reads, such as a batch norm's, never
// leaves the chip: it is stored as that layer's output. Accumulators whose width nothing tells have
// the worst case of the formats, floats 32 bits. All data lie in one memory that holds the
// parameters and the peak.
MapCost cost_of(std::span<const LayerFacts> facts, std::span<const LayerFormats> formats,
                const Technology& technology, const Operand& model_input = {});

// What a search can save: "bits", "peak", "traffic", "bops", "ebops", "energy".
const std::vector<std::string>& cost_names();
// That number. Throws an Error for another name, and where it is not known.
double cost_named(const MapCost& cost, std::string_view name);

}  // namespace tensorquant

#endif  // TENSORQUANT_SEARCH_COST_H_
