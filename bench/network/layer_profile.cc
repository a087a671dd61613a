#include "bench/network/layer_profile.h"

#include <ATen/core/grad_mode.h>

#include <chrono>
#include <stdexcept>

#include "tensorquant/libtorch/libtorch.h"
#include "tensorquant/measure/interleaved.h"

namespace tensorquant::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Call {
  std::string layer;
  double seconds;
};

std::vector<Call> timed_forward(ImageClassifier& model, const at::Tensor& images) {
  std::vector<Call> calls;
  Clock::time_point last;
  set_output_observer(model, [&](const std::string& layer, const at::Tensor&) {
    const Clock::time_point now = Clock::now();
    calls.push_back({layer, std::chrono::duration<double>(now - last).count()});
    last = now;
  });
  last = Clock::now();
  model.forward(images);
  set_output_observer(model, {});
  return calls;
}

}  // namespace

std::vector<LayerTime> layer_times(ImageClassifier& plain, ImageClassifier& quantized,
                                   const at::Tensor& images, int rounds) {
  const at::NoGradGuard no_gradients;
  std::vector<std::string> names;
  std::vector<std::vector<double>> plain_seconds, quantized_seconds;
  for (int round = -2; round < rounds; ++round) {
    const std::vector<Call> a = timed_forward(plain, images);
    const std::vector<Call> b = timed_forward(quantized, images);
    if (a.size() != b.size()) throw std::runtime_error("the models call different layers");
    plain_seconds.resize(a.size());
    quantized_seconds.resize(a.size());
    names.resize(a.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (a[i].layer != b[i].layer) throw std::runtime_error("the models call different layers");
      names[i] = a[i].layer;
      if (round < 0) continue;  // warms up
      plain_seconds[i].push_back(a[i].seconds);
      quantized_seconds[i].push_back(b[i].seconds);
    }
  }
  std::vector<LayerTime> times;
  times.reserve(names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    times.push_back(
        {names[i], measure::median(plain_seconds[i]), measure::median(quantized_seconds[i])});
  }
  return times;
}

}  // namespace tensorquant::bench
