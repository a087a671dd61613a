// What quantization costs a whole network: inference and a training step with weights and outputs
// quantized to 8 bits, over the float ones, in one run. The second float case shows how far equal
// work differs here. Or where the time of inference goes, layer by layer.

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/command_line.h"
#include "bench/network/layer_profile.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/libtorch/libtorch.h"
#include "tensorquant/measure/interleaved.h"
#include "tensorquant/models/model.h"

namespace tensorquant::bench {
namespace {

constexpr int kThreads = 2;

struct Work {
  const char* model;
  int batch;
  bool trains;
  at::MemoryFormat layout;
};

std::vector<Work> all_work() {
  constexpr auto kFirst = at::MemoryFormat::Contiguous, kLast = at::MemoryFormat::ChannelsLast;
  std::vector<Work> all;
  for (const auto& [model, batch] :
       {std::pair{"lenet", 128}, {"resnet20", 128}, {"resnet20", 64}, {"resnet20", 1}}) {
    for (const bool trains : {false, true}) {
      for (const auto layout : {kFirst, kLast}) all.push_back({model, batch, trains, layout});
    }
  }
  return all;
}

Override eight_bits() {
  Override maps;
  maps.weights = QuantizerMap({{"", "nearest,8,6"}});
  maps.extrinsic = QuantizerMap({{"", "nearest,8,4"}}, MapKind::extrinsic);
  return maps;
}

// A network with images, labels and an optimizer of its own.
class Subject {
 public:
  explicit Subject(const Work& work)
      : model(make_model(find_model(work.model), 1)),
        optimizer_(model->parameters(), torch::optim::SGDOptions(1e-3)) {
    const ModelInfo& info = find_model(work.model);
    torch::manual_seed(1);
    images =
        torch::rand({work.batch, info.channels, info.height, info.width}).contiguous(work.layout);
    labels_ = torch::randint(info.classes, {work.batch}, at::kLong);
    model->train(work.trains);
  }

  at::Tensor infer() const {
    const torch::NoGradGuard no_gradients;
    return model->forward(images);
  }
  void train() {
    optimizer_.zero_grad();
    torch::nn::functional::cross_entropy(model->forward(images), labels_).backward();
    optimizer_.step();
  }

  std::shared_ptr<ImageClassifier> model;
  at::Tensor images;

 private:
  at::Tensor labels_;
  torch::optim::SGD optimizer_;
};

void require(bool holds, const char* claim) {
  if (!holds) throw std::runtime_error(std::string("does not hold: ") + claim);
}

bool equal_parameters(const Subject& a, const Subject& b) {
  const auto x = a.model->parameters(), y = b.model->parameters();
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), torch::equal);
}

// Before the clock starts.
void check(const Work& work) {
  Subject plain(work), quantized(work), stripped(work);
  apply(*quantized.model, eight_bits());
  apply(*stripped.model, eight_bits());
  strip(*stripped.model);
  const at::Tensor logits = quantized.infer();
  require(
      torch::equal(logits * 16, torch::round(logits * 16)) && logits.abs().max().item<float>() <= 8,
      "logits are values of nearest,8,4");
  require(torch::equal(stripped.infer(), plain.infer()), "without maps the logits are float's");
  if (!work.trains) return;
  for (Subject* subject : {&plain, &quantized, &stripped}) subject->train();
  require(equal_parameters(plain, stripped), "without maps training is float's");
  require(!equal_parameters(plain, quantized), "with maps training is another");
}

nlohmann::ordered_json measured(const Work& work, int rounds) {
  check(work);
  Subject plain(work), again(work), quantized(work);
  apply(*quantized.model, eight_bits());
  const auto run = [&](Subject& subject) {
    return [&] { work.trains ? subject.train() : static_cast<void>(subject.infer()); };
  };
  // A network of some milliseconds is measured more often.
  std::vector<measure::Case> cases = {
      {"float", run(plain)}, {"float again", run(again)}, {"quantized", run(quantized)}};
  measure::run_interleaved(cases, work.batch == 1 ? 10 * rounds : rounds);
  const char* layout =
      work.layout == at::MemoryFormat::ChannelsLast ? "channels last" : "channels first";
  return {{"model", work.model},
          {"batch", work.batch},
          {"work", work.trains ? "training step" : "inference"},
          {"layout", layout},
          {"threads", at::get_num_threads()},
          {"float_ms", 1e3 * measure::median(cases[0].seconds)},
          {"quantized_ms", 1e3 * measure::median(cases[2].seconds)},
          {"float_again_over_float", measure::ratio(cases[1], cases[0])},
          {"quantized_over_float", measure::ratio(cases[2], cases[0])},
          {"quantized_over_float_low", measure::ratio(cases[2], cases[0], 0.25)},
          {"quantized_over_float_high", measure::ratio(cases[2], cases[0], 0.75)}};
}

nlohmann::ordered_json profile(const Work& work, int rounds) {
  Subject plain(work), quantized(work);
  apply(*quantized.model, eight_bits());
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const LayerTime& layer : layer_times(*plain.model, *quantized.model, plain.images, rounds)) {
    layers.push_back({{"layer", layer.name},
                      {"float_us", 1e6 * layer.plain_seconds},
                      {"quantized_us", 1e6 * layer.quantized_seconds}});
  }
  return {{"model", work.model}, {"batch", work.batch}, {"layers", layers}};
}

void print(const nlohmann::ordered_json& row) {
  if (!row.contains("layers")) {
    std::printf("%-9s batch %3d  %-14s %-15s float %7.2f ms, again x %.3f; quantized x %.3f\n",
                row["model"].get<std::string>().c_str(), row["batch"].get<int>(),
                row["work"].get<std::string>().c_str(), row["layout"].get<std::string>().c_str(),
                row["float_ms"].get<double>(), row["float_again_over_float"].get<double>(),
                row["quantized_over_float"].get<double>());
    return;
  }
  std::printf("%s, batch %d: microseconds in inference, channels last\n%-20s %10s %10s %10s\n",
              row["model"].get<std::string>().c_str(), row["batch"].get<int>(), "layer", "float",
              "quantized", "more");
  for (const auto& layer : row["layers"]) {
    const double plain = layer["float_us"], quantized = layer["quantized_us"];
    std::printf("%-20s %10.1f %10.1f %+10.1f\n", layer["layer"].get<std::string>().c_str(), plain,
                quantized, quantized - plain);
  }
}

void benchmark(bool profiles, const CommonOptions& options) {
  set_num_threads(kThreads);
  at::set_num_threads(kThreads);
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Work& work : all_work()) {
    const bool is_profiled = !work.trains && work.layout == at::MemoryFormat::ChannelsLast;
    if (profiles && !is_profiled) continue;
    rows.push_back(profiles ? profile(work, options.rounds) : measured(work, options.rounds));
    if (!options.as_json) print(rows.back());
  }
  if (options.as_json) std::printf("%s\n", rows.dump(2).c_str());
}

}  // namespace
}  // namespace tensorquant::bench

int main(int argc, char** argv) {
  using namespace tensorquant::bench;
  CLI::App app("What 8-bit weights and outputs cost LeNet and ResNet-20, over the float networks.",
               "network_bench");
  CommonOptions options{.rounds = 31};
  add_common_options(app, options);
  bool profiles = false;
  app.add_flag("--profile", profiles, "Show instead where the time of inference goes, by layers");
  return run(app, argc, argv, options, [&] { benchmark(profiles, options); });
}
