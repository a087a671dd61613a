#include "tensorquant/models/training.h"

#include <torch/nn/functional/loss.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <numeric>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/base/random.h"
#include "tensorquant/models/checkpoint.h"
#include "tensorquant/models/tensor_array.h"
#include "tensorquant/torch/model.h"

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

}  // namespace

Adam::Adam(std::vector<at::Tensor> all) : parameters(std::move(all)) {
  for (const at::Tensor& parameter : parameters) {
    first_moments.push_back(at::zeros_like(parameter));
    second_moments.push_back(at::zeros_like(parameter));
  }
}

void Adam::step(double learning_rate) {
  constexpr double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  const at::NoGradGuard no_grad;
  ++steps;
  const double correction1 = 1 - std::pow(beta1, static_cast<double>(steps));
  const double correction2 = 1 - std::pow(beta2, static_cast<double>(steps));
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    at::Tensor& gradient = parameters[i].mutable_grad();
    if (!gradient.defined()) continue;
    first_moments[i].mul_(beta1).add_(gradient, 1 - beta1);
    second_moments[i].mul_(beta2).addcmul_(gradient, gradient, 1 - beta2);
    const at::Tensor scale =
        second_moments[i].sqrt().div_(std::sqrt(correction2)).add_(epsilon);
    parameters[i].addcdiv_(first_moments[i], scale, -learning_rate / correction1);
    gradient = at::Tensor();
  }
}

Trainer::Trainer(const ModelInfo& info, std::shared_ptr<ImageClassifier> model,
                 const ImageDataset& data, TrainingOptions options)
    : info_(info),
      model_(std::move(model)),
      data_(data),
      options_(options),
      batches_((data.count + options.batch_size - 1) / options.batch_size),
      adam_(model_->parameters()) {
  for (const auto& item : model_->named_parameters()) names_.push_back(item.key());
}

int Trainer::epoch() const { return static_cast<int>(steps() / batches_); }

std::vector<std::size_t> Trainer::next_batch() {
  if (order_epoch_ != epoch()) {
    order_ = shuffled_indices(data_.count, options_.seed, epoch());
    order_epoch_ = epoch();
  }
  const auto first = order_.begin() + static_cast<std::ptrdiff_t>(batch() * options_.batch_size);
  const auto left = static_cast<std::size_t>(order_.end() - first);
  return {first, first + static_cast<std::ptrdiff_t>(std::min(left, options_.batch_size))};
}

void Trainer::step() {
  const std::vector<std::size_t> indices = next_batch();
  if (batch() == 0) results_.emplace_back();
  model_->train();
  const at::Tensor labels = labels_of(data_, indices);
  const at::Tensor logits = model_->forward(preprocess(info_, data_, indices));
  const at::Tensor loss = at::cross_entropy_loss(logits, labels);
  const double value = loss.item<double>();
  if (!std::isfinite(value)) {
    throw Error("the loss is " + std::to_string(value) + " in epoch " +
                std::to_string(epoch() + 1) + ", batch " + std::to_string(batch() + 1) +
                "; try a smaller learning rate or wider formats");
  }
  loss.backward();

  const double progress = static_cast<double>(steps()) / static_cast<double>(all_steps());
  adam_.step(options_.learning_rate * std::cos(progress * std::numbers::pi / 2));

  const double hits = logits.detach().argmax(1).eq(labels).sum().item<double>();
  EpochResult& result = results_.back();
  const auto before = static_cast<double>(result.images);
  result.images += indices.size();
  const auto after = static_cast<double>(result.images);
  result.loss = (result.loss * before + value * (after - before)) / after;
  result.accuracy = (result.accuracy * before + hits) / after;
}

Safetensors Trainer::state() const {
  Safetensors state;
  const auto add = [&](const std::string& prefix, const std::string& name, Array array) {
    state.tensors[prefix + name] = std::move(array);
  };
  for (auto& [name, array] : weights_of(*model_)) add(kWeights, name, array);
  for (std::size_t i = 0; i < names_.size(); ++i) {
    add(kFirst, names_[i], to_array(adam_.first_moments[i]));
    add(kSecond, names_[i], to_array(adam_.second_moments[i]));
  }
  const json progress = {{"steps", steps()},
                         {"batches", batches_},
                         {"layer_steps", layer_steps(model_)},
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
    set_weights(*model_, part(state, kWeights), source);
    for (const auto& [prefix, moments] : {std::pair{kFirst, &adam_.first_moments},
                                          {kSecond, &adam_.second_moments}}) {
      for (std::size_t i = 0; i < names_.size(); ++i) {
        const auto found = state.tensors.find(prefix + names_[i]);
        if (found == state.tensors.end()) {
          throw Error(source + ": '" + prefix + names_[i] + "' is missing");
        }
        at::Tensor values_read = to_tensor(found->second);
        if (!values_read.sizes().equals((*moments)[i].sizes()) ||
            values_read.scalar_type() != (*moments)[i].scalar_type()) {
          throw Error(source + ": '" + prefix + names_[i] + "' is of another type or shape");
        }
        (*moments)[i] = std::move(values_read);
      }
    }
    set_layer_steps(model_, values.at("layer_steps").get<std::map<std::string, std::uint32_t>>());
    results_ = results_from(values.at("results"));
    adam_.steps = values.at("steps").get<std::int64_t>();
  } catch (const json::exception& error) {
    throw Error(source + ": damaged progress of a training run: " + error.what());
  }
}

std::vector<std::size_t> shuffled_indices(std::size_t count, std::uint64_t seed, int epoch) {
  // Fisher and Yates: each of the count! orders has the same chance, up to 2^-32 a draw.
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const Context random{seed, stream_of("training", "order"), static_cast<std::uint32_t>(epoch)};
  for (std::size_t i = count; i > 1; --i) {
    const std::size_t j = (std::uint64_t{random_word(random, i)} * i) >> 32;
    std::swap(order[i - 1], order[j]);
  }
  return order;
}

}  // namespace tensorquant
