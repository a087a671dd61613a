#ifndef TENSORQUANT_LIBTORCH_NN_LAYER_CASES_H_
#define TENSORQUANT_LIBTORCH_NN_LAYER_CASES_H_

// For tests: the one list of all layers, each with a way to make and to call it.

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace tensorquant {

// Makes a case's inputs: the same numbers in every run.
class Inputs {
 public:
  explicit Inputs(torch::Dtype type = torch::kFloat) : type_(type) {}
  // A leaf that wants a gradient, with normal numbers.
  torch::Tensor operator()(torch::IntArrayRef sizes);
  const std::vector<torch::Tensor>& leaves() const { return leaves_; }

 private:
  torch::Dtype type_;
  std::vector<torch::Tensor> leaves_;
};

struct LayerCase {
  std::string name;
  std::function<std::shared_ptr<torch::nn::Module>()> plain;  // of torch::nn
  std::function<std::shared_ptr<torch::nn::Module>()> twin;   // of tensorquant::nn
  // All tensors that forward() of one or the other returns.
  std::function<std::vector<torch::Tensor>(torch::nn::Module&, Inputs&)> call;
};
inline void PrintTo(const LayerCase& layer, std::ostream* stream) { *stream << layer.name; }

const std::vector<LayerCase>& all_layers();

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_NN_LAYER_CASES_H_
