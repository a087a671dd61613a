#include "tensorquant/libtorch/layers/q_layer.h"

#include <torch/nn.h>
#include <torch/version.h>

#include <ostream>

// libtorch 1.13 does not export these six functions, which leaves the twins of these layers without
// them. They print what libtorch's print.
#if TORCH_VERSION_MAJOR < 2

namespace torch::nn {
namespace {

void print_momentum(std::ostream& stream, double momentum) { stream << momentum; }
void print_momentum(std::ostream& stream, const c10::optional<double>& momentum) {
  if (momentum.has_value()) {
    stream << *momentum;
  } else {
    stream << "None";
  }
}

template <class Layer>
void print(std::ostream& stream, const char* name, const Layer& layer) {
  stream << std::boolalpha << "torch::nn::" << name << "(" << layer.options.num_features()
         << ", eps=" << layer.options.eps() << ", momentum=";
  print_momentum(stream, layer.options.momentum());
  stream << ", affine=" << layer.options.affine()
         << ", track_running_stats=" << layer.options.track_running_stats() << ")";
}

}  // namespace

#define TENSORQUANT_PRETTY_PRINT(Base, dimensions, Name)                        \
  template <>                                                                   \
  void Base<dimensions, Name##Impl>::pretty_print(std::ostream& stream) const { \
    print(stream, #Name, *this);                                                \
  }

TENSORQUANT_PRETTY_PRINT(BatchNormImplBase, 1, BatchNorm1d)
TENSORQUANT_PRETTY_PRINT(BatchNormImplBase, 2, BatchNorm2d)
TENSORQUANT_PRETTY_PRINT(BatchNormImplBase, 3, BatchNorm3d)
TENSORQUANT_PRETTY_PRINT(InstanceNormImpl, 1, InstanceNorm1d)
TENSORQUANT_PRETTY_PRINT(InstanceNormImpl, 2, InstanceNorm2d)
TENSORQUANT_PRETTY_PRINT(InstanceNormImpl, 3, InstanceNorm3d)

#undef TENSORQUANT_PRETTY_PRINT

}  // namespace torch::nn

#endif

namespace tensorquant::detail {

std::string layer_type(std::string class_name) {
  class_name.erase(0, class_name.find_first_of("<(") == std::string::npos
                          ? class_name.rfind(':') + 1
                          : 0);  // of a template's name only the whole makes sense
  if (class_name.ends_with("Impl")) class_name.resize(class_name.size() - 4);
  return class_name;
}

}  // namespace tensorquant::detail
