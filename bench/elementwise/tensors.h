#ifndef TENSORQUANT_BENCH_ELEMENTWISE_TENSORS_H_
#define TENSORQUANT_BENCH_ELEMENTWISE_TENSORS_H_

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tensorquant/base/parallel.h"
#include "tensorquant/measure/elementwise.h"

namespace tensorquant::bench {

// `quantize` takes a libtorch tensor and returns another, which it allocates, as its users get it.
template <class Quantize>
measure::Contender<float> tensor_contender(std::string name, std::string quantizer,
                                           std::vector<std::string> one_of, Quantize quantize) {
  const auto result = std::make_shared<at::Tensor>();
  measure::Contender<float> contender;
  contender.name = std::move(name);
  contender.quantizer = std::move(quantizer);
  contender.one_of = std::move(one_of);
  contender.run = [result, quantize](std::span<const float> in, std::span<float>) {
    const c10::InferenceMode no_gradients;
    if (at::get_num_threads() != num_threads()) at::set_num_threads(num_threads());
    const auto size = static_cast<std::int64_t>(in.size());
    *result = quantize(at::from_blob(const_cast<float*>(in.data()), {size}, at::kFloat));
  };
  contender.fetch = [result](std::span<float> out) {
    std::copy_n(result->data_ptr<float>(), out.size(), out.begin());
  };
  return contender;
}

}  // namespace tensorquant::bench

#endif  // TENSORQUANT_BENCH_ELEMENTWISE_TENSORS_H_
