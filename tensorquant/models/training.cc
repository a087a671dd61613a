#include "tensorquant/models/training.h"

#include <ATen/ATen.h>
#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <numbers>
#include <numeric>
#include <type_traits>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/base/random.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/steps.h"
#include "tensorquant/models/checkpoint.h"
#include "tensorquant/models/evaluation.h"
#include "tensorquant/models/tensor_array.h"

namespace tensorquant {
namespace {

using nlohmann::json;

constexpr const char* kWeights = "weights/";
constexpr const char* kFirst = "adam/first/";
constexpr const char* kSecond = "adam/second/";
constexpr const char* kProgress = "progress";

json to_json(const std::vector<EpochResult>& results) {
  json list = json::array();
  for (const EpochResult& epoch : results) {
    list.push_back({{"loss", epoch.loss}, {"accuracy", epoch.accuracy}, {"images", epoch.images}});
  }
  return list;
}

std::vector<EpochResult> results_from(const json& list) {
  std::vector<EpochResult> results;
  for (const json& epoch : list) {
    results.push_back({epoch.at("loss"), epoch.at("accuracy"), epoch.at("images")});
  }
  return results;
}

// The tensors whose names start with the prefix, without it.
std::map<std::string, Array> part(const Safetensors& file, const std::string& prefix) {
  std::map<std::string, Array> arrays;
  for (const auto& [name, array] : file.tensors) {
    if (name.starts_with(prefix)) arrays[name.substr(prefix.size())] = array;
  }
  return arrays;
}

// What Adam keeps of a parameter, made anew where there is nothing yet. libtorch's releases differ
// in how they find it.
torch::optim::AdamParamState& state_of(torch::optim::Adam& adam, const at::Tensor& parameter) {
  const auto find = [&](auto& states) -> std::unique_ptr<torch::optim::OptimizerParamState>& {
    using Key = typename std::remove_reference_t<decltype(states)>::key_type;
    if constexpr (std::is_pointer_v<Key>) {
      return states[parameter.unsafeGetTensorImpl()];
    } else {
      return states[c10::str(parameter.unsafeGetTensorImpl())];
    }
  };
  auto& found = find(adam.state());
  if (found == nullptr) {
    auto fresh = std::make_unique<torch::optim::AdamParamState>();
    fresh->step(0);
    fresh->exp_avg(at::zeros_like(parameter));
    fresh->exp_avg_sq(at::zeros_like(parameter));
    found = std::move(fresh);
  }
  return static_cast<torch::optim::AdamParamState&>(*found);
}

// A moment from a file. Throws an Error that names it where it does not fit the parameter.
at::Tensor moment_of(const Safetensors& state, const std::string& name, const at::Tensor& parameter,
                     const std::string& source) {
  const auto found = state.tensors.find(name);
  if (found == state.tensors.end()) throw Error(source + ": '" + name + "' is missing");
  at::Tensor moment = to_tensor(found->second);
  if (!moment.sizes().equals(parameter.sizes()) ||
      moment.scalar_type() != parameter.scalar_type()) {
    throw Error(source + ": '" + name + "' is of another type or shape");
  }
  return moment;
}

}  // namespace

TrainingTask training_task(const ModelInfo& info, std::shared_ptr<ImageClassifier> model,
                           const ImageDataset& data) {
  TrainingTask task;
  task.model = model;
  task.count = data.count;
  task.logits = [&info, &data, model](TrainingTask::Samples samples) {
    return model->forward(preprocess(info, data, samples));
  };
  task.labels = [&data](TrainingTask::Samples samples) { return labels_of(data, samples); };
  return task;
}

Trainer::Trainer(TrainingTask task, TrainingOptions options)
    : task_(std::move(task)),
      options_(options),
      batches_((task_.count + options.batch_size - 1) / options.batch_size),
      adam_(task_.model->parameters(), torch::optim::AdamOptions(options.learning_rate)) {
  for (const auto& item : task_.model->named_parameters()) names_.push_back(item.key());
}

int Trainer::epoch() const { return static_cast<int>(steps() / batches_); }

std::vector<std::size_t> Trainer::next_batch() {
  if (order_epoch_ != epoch()) {
    order_ = shuffled_indices(task_.count, options_.seed, epoch());
    order_epoch_ = epoch();
  }
  const auto first = order_.begin() + static_cast<std::ptrdiff_t>(batch() * options_.batch_size);
  const auto left = static_cast<std::size_t>(order_.end() - first);
  return {first, first + static_cast<std::ptrdiff_t>(std::min(left, options_.batch_size))};
}

void Trainer::step() {
  const std::vector<std::size_t> indices = next_batch();
  task_.model->train();
  const at::Tensor labels = task_.labels(indices);
  const at::Tensor logits = task_.logits(indices);
  const at::Tensor loss = at::cross_entropy_loss(logits, labels);
  const double value = loss.item<double>();
  if (!std::isfinite(value)) fail_at_loss(value, indices);
  adam_.zero_grad();
  loss.backward();
  const double progress = static_cast<double>(steps()) / static_cast<double>(all_steps());
  static_cast<torch::optim::AdamOptions&>(adam_.param_groups()[0].options())
      .lr(options_.learning_rate * std::cos(progress * std::numbers::pi / 2));
  adam_.step();

  const double hits = logits.detach().argmax(1).eq(labels).sum().item<double>();
  if (batch() == 0) results_.emplace_back();
  EpochResult& result = results_.back();
  const auto before = static_cast<double>(result.images);
  result.images += indices.size();
  const auto after = static_cast<double>(result.images);
  result.loss = (result.loss * before + value * (after - before)) / after;
  result.accuracy = (result.accuracy * before + hits) / after;
  ++steps_;
}

void Trainer::fail_at_loss(double loss, const std::vector<std::size_t>& samples) const {
  // Once more, with the layers' random steps of the first time.
  const std::map<std::string, std::uint32_t> after = layer_steps(task_.model);
  std::map<std::string, std::uint32_t> before = after;
  for (auto& [layer, step] : before) step -= step > 0 ? 1 : 0;
  set_layer_steps(task_.model, before);
  const at::NoGradGuard no_grad;
  const std::string layer = first_non_finite_layer(task_.model, [&] { task_.logits(samples); });
  set_layer_steps(task_.model, after);
  throw Error(
      std::string("the loss is ") + (std::isnan(loss) ? "NaN" : "infinite") + " in epoch " +
      std::to_string(epoch() + 1) + ", batch " + std::to_string(batch() + 1) +
      (layer.empty() ? "" : "; the first output that is not finite is that of '" + layer + "'") +
      "; try a smaller learning rate or wider formats");
}

Safetensors Trainer::state() {
  Safetensors state;
  const auto add = [&](const std::string& prefix, const std::string& name, Array array) {
    state.tensors[prefix + name] = std::move(array);
  };
  for (auto& [name, array] : weights_of(*task_.model)) add(kWeights, name, array);
  const std::vector<at::Tensor>& parameters = adam_.param_groups()[0].params();
  for (std::size_t i = 0; i < names_.size(); ++i) {
    const torch::optim::AdamParamState& moments = state_of(adam_, parameters[i]);
    add(kFirst, names_[i], to_array(moments.exp_avg()));
    add(kSecond, names_[i], to_array(moments.exp_avg_sq()));
  }
  const json progress = {{"steps", steps()},
                         {"batches", batches_},
                         {"layer_steps", layer_steps(task_.model)},
                         {"results", to_json(results_)}};
  state.metadata[kProgress] = progress.dump();
  return state;
}

void Trainer::restore(const Safetensors& state, const std::string& source) {
  const auto progress = state.metadata.find(kProgress);
  if (progress == state.metadata.end()) throw Error(source + ": is no state of a training run");
  try {
    const json values = json::parse(progress->second);
    if (values.at("batches").get<std::size_t>() != batches_) {
      throw Error(source + ": the run has " + values.at("batches").dump() +
                  " batches in an epoch, not " + std::to_string(batches_));
    }
    set_weights(*task_.model, part(state, kWeights), source);
    set_layer_steps(task_.model,
                    values.at("layer_steps").get<std::map<std::string, std::uint32_t>>());
    results_ = results_from(values.at("results"));
    const auto steps_done = values.at("steps").get<std::size_t>();
    if (results_.size() != (steps_done + batches_ - 1) / batches_) {
      throw Error(source + ": damaged progress of a training run: " + std::to_string(steps_done) +
                  " batches, but results of " + std::to_string(results_.size()) + " epochs");
    }
    steps_ = steps_done;
    const std::vector<at::Tensor>& parameters = adam_.param_groups()[0].params();
    for (std::size_t i = 0; i < names_.size(); ++i) {
      torch::optim::AdamParamState& moments = state_of(adam_, parameters[i]);
      moments.step(static_cast<std::int64_t>(steps_done));
      moments.exp_avg(moment_of(state, kFirst + names_[i], parameters[i], source));
      moments.exp_avg_sq(moment_of(state, kSecond + names_[i], parameters[i], source));
    }
  } catch (const json::exception& error) {
    throw Error(source + ": damaged progress of a training run: " + error.what());
  }
}

std::vector<std::size_t> shuffled_indices(std::size_t count, std::uint64_t seed, int epoch) {
  // Fisher and Yates: each of the count! orders has the same chance, up to 2^-32 a draw.
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const RandomStream random{seed, stream_of("training", "order"),
                            static_cast<std::uint32_t>(epoch)};
  for (std::size_t i = count; i > 1; --i) {
    const std::size_t j = (std::uint64_t{random_word(random, i)} * i) >> 32;
    std::swap(order[i - 1], order[j]);
  }
  return order;
}

}  // namespace tensorquant
