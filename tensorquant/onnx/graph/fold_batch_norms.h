#ifndef TENSORQUANT_ONNX_GRAPH_FOLD_BATCH_NORMS_H_
#define TENSORQUANT_ONNX_GRAPH_FOLD_BATCH_NORMS_H_

#include <string>
#include <vector>

#include "tensorquant/onnx/wire/model.h"

namespace tensorquant::onnx {

// Batch normalizations by the names of their nodes, or of their outputs.
struct FoldedBatchNorms {
  std::vector<std::string> folded, left;
};

// Puts batch normalizations of the main graph into the weights and biases of the Conv,
// ConvTranspose or Gemm in front of them: with f = gamma / sqrt(variance + epsilon) these become w
// f and (b - mean) f + beta, in float64, each rounded once to float32. Left are those in training
// mode, those whose input others read or no such node makes, and those with numbers that are no
// initializers of type float, or that give factors that are not finite.
FoldedBatchNorms fold_batch_norms(ModelProto& model);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_GRAPH_FOLD_BATCH_NORMS_H_
