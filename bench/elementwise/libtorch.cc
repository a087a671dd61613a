// libtorch's fake quantization, which knows one format of fixed point: ties to even, clamped. It
// goes through integers, so that its zeros have no sign.
#include "bench/elementwise/rivals.h"
#include "bench/elementwise/tensors.h"

namespace tensorquant::bench {

Contenders libtorch_contenders() {
  return {tensor_contender(kLibtorch, "even,8,4", {"even,8,4"}, [](const at::Tensor& x) {
    return at::fake_quantize_per_tensor_affine(x, 0.0625, 0, -128, 127);
  })};
}

}  // namespace tensorquant::bench
