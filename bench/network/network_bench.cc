// What quantization costs a whole network: the forward pass with weights and outputs quantized to 8
// bits, over the float one, both in one run. The second float case shows how far equal work differs
// here.
//
//   network_bench [--json] [ROUNDS]

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/interleaved.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/models/model.h"
#include "tensorquant/torch/torch.h"

namespace tensorquant::bench {
namespace {

constexpr int kBatch = 128;

Override eight_bits() {
  Override maps;
  maps.weights = QuantizerMap({{"", "nearest,8,6"}});
  maps.extrinsic = QuantizerMap({{"", "nearest,8,4"}}, MapKind::extrinsic);
  return maps;
}

// Before the clock starts: without maps the network is the float one bit for bit, and with them
// every logit is a value of the format.
void check(ImageClassifier& plain, ImageClassifier& quantized, const at::Tensor& images) {
  const at::Tensor logits = quantized.forward(images);
  if (!torch::equal(logits * 16, torch::round(logits * 16)) ||
      logits.abs().max().item<float>() > 8) {
    throw std::runtime_error("a logit is no value of nearest,8,4");
  }
  strip(quantized);
  if (!torch::equal(quantized.forward(images), plain.forward(images))) {
    throw std::runtime_error("the stripped network is not the float one");
  }
  apply(quantized, eight_bits());
}

nlohmann::ordered_json measure(const std::string& name, at::MemoryFormat layout, int rounds) {
  const torch::NoGradGuard no_gradients;
  const ModelInfo& info = find_model(name);
  const auto plain = make_model(info, 1);
  const auto quantized = make_model(info, 1);
  plain->eval();
  quantized->eval();
  apply(*quantized, eight_bits());
  torch::manual_seed(1);
  const at::Tensor images =
      torch::rand({kBatch, info.channels, info.height, info.width}).contiguous(layout);
  check(*plain, *quantized, images);

  std::vector<Case> cases = {{"float", [&] { plain->forward(images); }},
                             {"float again", [&] { plain->forward(images); }},
                             {"quantized", [&] { quantized->forward(images); }}};
  run_interleaved(cases, rounds);
  nlohmann::ordered_json row = {
      {"model", name},
      {"layout", layout == at::MemoryFormat::ChannelsLast ? "channels last" : "channels first"},
      {"batch", kBatch},
      {"threads", at::get_num_threads()},
      {"rounds", rounds}};
  row["float_ms"] = 1e3 * median(cases[0].seconds);
  row["quantized_ms"] = 1e3 * median(cases[2].seconds);
  row["float_again_over_float"] = ratio(cases[1], cases[0]);
  row["quantized_over_float"] = ratio(cases[2], cases[0]);
  return row;
}

}  // namespace
}  // namespace tensorquant::bench

int main(int argc, char** argv) {
  bool as_json = false;
  int rounds = 31;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) {
      as_json = true;
    } else {
      rounds = std::atoi(argv[i]);
    }
  }
  tensorquant::set_num_threads(2);
  at::set_num_threads(2);
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const char* name : {"lenet", "resnet20"}) {
    for (const auto layout : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      rows.push_back(tensorquant::bench::measure(name, layout, std::max(rounds, 1)));
      const auto& row = rows.back();
      if (as_json) continue;
      std::printf("%-9s %-15s float %6.2f ms, again x %.3f; quantized %6.2f ms, x %.3f\n", name,
                  row["layout"].get<std::string>().c_str(), row["float_ms"].get<double>(),
                  row["float_again_over_float"].get<double>(), row["quantized_ms"].get<double>(),
                  row["quantized_over_float"].get<double>());
    }
  }
  if (as_json) std::printf("%s\n", rows.dump(2).c_str());
}
