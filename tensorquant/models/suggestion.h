#ifndef TENSORQUANT_MODELS_SUGGESTION_H_
#define TENSORQUANT_MODELS_SUGGESTION_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tensorquant/data/dataset.h"
#include "tensorquant/maps/override.h"
#include "tensorquant/models/model.h"

namespace tensorquant {

// The least and the greatest value seen; low > high: none.
struct ValueRange {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  bool empty() const { return low > high; }
  // Throws an Error that names `what` where a value is not finite.
  void include(const at::Tensor& values, const std::string& what);
};

struct LayerRanges {
  std::string layer;
  ValueRange weight, bias, output;
};

// The ranges of all weights, and of all outputs while the model runs over the data, in evaluation
// mode. after_batch sees the number of images done.
std::vector<LayerRanges> observe_ranges(
    const ModelInfo& info, ImageClassifier& model, const ImageDataset& data, std::size_t batch_size,
    const std::function<void(std::size_t images)>& after_batch = {});

// The largest F in [-64, 64] with which nearest,bits,F saturates at no value of the range: the
// finest grid that covers it. bits - 1 for a range without any value but 0.
int fraction_for(int bits, const ValueRange& range);

// Maps with nearest,bits,F for each layer's weights, biases and outputs, each with its own F.
Override suggest_maps(int bits, const std::vector<LayerRanges>& ranges);

}  // namespace tensorquant

#endif  // TENSORQUANT_MODELS_SUGGESTION_H_
