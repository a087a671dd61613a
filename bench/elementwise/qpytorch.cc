// QPyTorch's kernels for the CPU, as they are; TENSORQUANT_BENCH_QPYTORCH says where a checkout
// lies. Their random numbers are libtorch's.
#include "bench/elementwise/rivals.h"
#include "bench/elementwise/tensors.h"

namespace {
// Their Python module is not needed.
struct Module {
  template <class... Arguments>
  void def(const Arguments&...) {}
};
}  // namespace
#define TORCH_EXTENSION_NAME qpytorch_module
#define PYBIND11_MODULE(name, variable) [[maybe_unused]] static void name(Module& variable)

#include "bit_helper.cpp"
#include "quant_cpu.cpp"
#include "sim_helper.cpp"

namespace tensorquant::bench {

Contenders qpytorch_contenders() {
  Contenders all = {
      // Before it rounds it adds one half and takes it away again, which may round, too.
      tensor_contender(
          kQpytorch, "even,16,8", {"down,16,8", "up,16,8"},
          [](const at::Tensor& x) { return fixed_point_quantize_nearest(x, 16, 8, true, false); }),
      tensor_contender(kQpytorch, "stochastic,16,8", {"down,16,8", "up,16,8"},
                       [](const at::Tensor& x) {
                         return fixed_point_quantize_stochastic(x, 16, 8, true, false);
                       }),
      tensor_contender(kQpytorch, "float,4,3,rounding=nearest", {"float,4,3,rounding=nearest"},
                       [](const at::Tensor& x) { return float_quantize_nearest(x, 3, 4); }),
      tensor_contender(kQpytorch, "float,4,3,rounding=stochastic",
                       {"float,4,3,rounding=down", "float,4,3,rounding=up"},
                       [](const at::Tensor& x) { return float_quantize_stochastic(x, 3, 4); })};
  for (measure::Contender<float>& contender : all) {
    contender.threads = 1;
    contender.most_elements = kMostSerialElements;
  }
  return all;
}

}  // namespace tensorquant::bench
