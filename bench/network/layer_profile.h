#ifndef BENCH_NETWORK_LAYER_PROFILE_H_
#define BENCH_NETWORK_LAYER_PROFILE_H_

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "tensorquant/models/model.h"

namespace tensorquant::bench {

// Medians over the rounds of the time from the output of the layer before to that of this one.
struct LayerTime {
  std::string name;
  double plain_seconds, quantized_seconds;
};

// Inference of both models, which have the same layers, in turn; in the order in which the layers
// are called.
std::vector<LayerTime> layer_times(ImageClassifier& plain, ImageClassifier& quantized,
                                   const at::Tensor& images, int rounds);

}  // namespace tensorquant::bench

#endif  // BENCH_NETWORK_LAYER_PROFILE_H_
