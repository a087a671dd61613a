#ifndef TENSORQUANT_ONNX_NAMES_PRODUCT_COUNTS_H_
#define TENSORQUANT_ONNX_NAMES_PRODUCT_COUNTS_H_

#include <cstdint>
#include <span>

#include "tensorquant/onnx/names/layers.h"

namespace tensorquant::onnx {

// How many products of a weight and a number a layer adds up.
struct ProductCounts {
  std::int64_t terms = 0;     // for an output, at most; 0: the layer has no such sums
  std::int64_t of_input = 0;  // each input's number is in; 0: all outputs have as many terms

  // Of all products.
  std::int64_t all(std::int64_t inputs, std::int64_t outputs) const {
    return of_input > 0 ? inputs * of_input : outputs * terms;
  }
};

// Of convolutions and of Gemm and MatMul with a weight, whose sizes are those in the file.
ProductCounts product_counts(const Layer& layer, std::span<const std::int64_t> weight_sizes);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_NAMES_PRODUCT_COUNTS_H_
