#ifndef TENSORQUANT_LIBTORCH_MODEL_SUMMARY_H_
#define TENSORQUANT_LIBTORCH_MODEL_SUMMARY_H_

#include <string>
#include <vector>

#include "tensorquant/libtorch/model/model_ref.h"

namespace tensorquant {

// One layer of a model and what is in it now; quantizers as strings, "" for none.
struct LayerSummary {
  std::string layer;
  std::string type;  // "Conv2d"
  bool quantizable = true;
  std::string weight, bias, output, intrinsic;
  std::string rule;  // where they come from: `weights "conv" (maps.json:1:2)`
};
// Of inputs, and of what only moves numbers, those that have a quantizer.
std::vector<LayerSummary> summary(ModelRef model);
// The same as a table for people.
std::string to_table(const std::vector<LayerSummary>& layers);

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_MODEL_SUMMARY_H_
