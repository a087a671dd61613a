#ifndef TENSORQUANT_ONNX_EXPORT_EXPORT_MODEL_H_
#define TENSORQUANT_ONNX_EXPORT_EXPORT_MODEL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tensorquant/maps/override.h"
#include "tensorquant/onnx/export/quantizer_nodes.h"
#include "tensorquant/onnx/graph/graph.h"

namespace tensorquant::onnx {

struct ExportOptions {
  Dialect dialect = Dialect::qdq;
  // Weights and biases stay float in the file, with nodes behind them, instead of being written
  // quantized.
  bool keeps_weights = false;
  // The maps stand in the metadata, intrinsic ones too, which have no other form: see take_maps().
  bool has_maps_in_metadata = false;
  enum class Reader { any, hls4ml, finn };
  Reader reader = Reader::any;  // whose limits are warned of
  // What the dialect cannot say of outputs and inputs becomes a node that nobody else reads.
  bool is_opaque = false;
};

struct ExportedModel {
  ModelProto model;
  std::vector<std::string> idle;      // a line for each rule that does nothing
  std::vector<std::string> warnings;  // of what the reader does not take, or takes otherwise
};

// The model, flat, with the quantizers of maps in it: nodes behind the outputs of layers and the
// model's inputs, weights and biases quantized. Error, one line for all layers, of what has no such
// form: a rule of the intrinsic map, unless it goes into the metadata; random rounding of outputs;
// a format that the dialect does not know; a layer in a subgraph; tensors of other types than
// float.
ExportedModel export_model(const Graph& graph, std::int64_t ir_version, const Override& maps,
                           const ExportOptions& options);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_EXPORT_EXPORT_MODEL_H_
