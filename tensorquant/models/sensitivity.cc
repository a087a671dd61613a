#include "tensorquant/models/sensitivity.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/model/walk.h"
#include "tensorquant/models/tensor_tour.h"

namespace tensorquant {
namespace {

// By the end of its type: "Conv2dRelu", "Gelu"; a Clip is what files have for ReLU6.
bool ends_in_activation(const LayerFacts& facts) {
  std::string type = facts.type;
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* const end : {"elu", "elu6", "clip", "swish", "silu", "mish"}) {
    if (type.ends_with(end)) return true;
  }
  return false;
}

// A network's "input", or an ONNX file's "input:NAME".
bool is_input(const LayerFacts& facts) {
  return facts.layer == "input" || (facts.type == "input" && facts.layer.starts_with("input:"));
}

bool is_named(const LayerPlace& place, const LayerFacts& facts, const std::string& name) {
  const bool multiplies = facts.macs > 0;
  if (name == "weights") return multiplies && place.place == Place::weight;
  if (name == "biases") return multiplies && place.place == Place::bias;
  if (name == "outputs") return ends_in_activation(facts) && place.place == Place::output;
  if (name == "input") return place.place == Place::output && is_input(facts);
  return layer_place(name) == place;
}

using Quantizers = std::vector<std::shared_ptr<const Quantizer>>;

// For each place and width the candidate of the least squared error, the first of equal ones.
std::vector<Quantizers> fixed_point_quantizers(const TensorTour& tour,
                                               const std::vector<LayerPlace>& places,
                                               const ChoiceOptions& options) {
  std::vector<ValueRange> ranges(places.size());
  tour([&](std::size_t place, std::span<const float> part, const Context&) {
    const auto [low, high] = std::minmax_element(part.begin(), part.end());
    ranges[place].include(*low, *high, places[place].text());
  });
  std::vector<std::vector<Quantizers>> candidates(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (const int bits : options.widths) {
      Quantizers one = fixed_point_candidates(bits, ranges[i]);
      if (options.cover) one.resize(1);
      candidates[i].push_back(std::move(one));
    }
  }
  std::vector<std::vector<std::vector<double>>> errors(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (const Quantizers& one : candidates[i]) errors[i].emplace_back(one.size(), 0.0);
  }
  if (!options.cover) {
    tour([&](std::size_t place, std::span<const float> part, const Context& context) {
      for (std::size_t w = 0; w < candidates[place].size(); ++w) {
        for (std::size_t f = 0; f < candidates[place][w].size(); ++f) {
          errors[place][w][f] += squared_error(*candidates[place][w][f], part, context);
        }
      }
    });
  }
  std::vector<Quantizers> best(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (std::size_t w = 0; w < candidates[i].size(); ++w) {
      const std::vector<double>& sums = errors[i][w];
      const auto least = std::min_element(sums.begin(), sums.end()) - sums.begin();
      best[i].push_back(candidates[i][w][static_cast<std::size_t>(least)]);
    }
  }
  return best;
}

std::vector<std::vector<PlaceChoice>> fitted(const TensorTour& tour,
                                             const std::vector<LayerPlace>& places,
                                             const std::vector<Quantizers>& quantizers) {
  std::vector<std::vector<PlaceChoice>> choices(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (const auto& quantizer : quantizers[i]) choices[i].push_back({quantizer, {}, {}});
  }
  tour([&](std::size_t place, std::span<const float> part, const Context& context) {
    for (PlaceChoice& choice : choices[place]) {
      choice.fit.add(*choice.quantizer, part, context);
      if (places[place].place == Place::output) continue;
      std::vector<float> quantized(part.size());
      choice.quantizer->quantize(part, quantized, context);
      choice.codes = count_codes(choice.quantizer.get(), quantized);
    }
  });
  return choices;
}

}  // namespace

std::vector<LayerPlace> places_of(const std::vector<LayerFacts>& facts, ModelRef model,
                                  const std::vector<std::string>& names) {
  const std::map<std::string, ModelLayer> layers = layers_by_name(model);
  std::vector<LayerPlace> places;
  std::vector<bool> used(names.size(), false);
  for (const LayerFacts& layer : facts) {
    for (const Place kind : {Place::weight, Place::bias, Place::output}) {
      const LayerPlace place = {kind, layer.layer};
      const bool is_parameter = kind != Place::output;
      if (is_parameter && !parameter_of(layers.at(layer.layer), to_string(kind)).defined())
        continue;
      bool named = false;
      for (std::size_t i = 0; i < names.size(); ++i) {
        if (!is_named(place, layer, names[i])) continue;
        used[i] = named = true;
      }
      if (named) places.push_back(place);
    }
  }
  const auto unused = std::find(used.begin(), used.end(), false);
  if (unused != used.end()) {
    const std::string& name = names[static_cast<std::size_t>(unused - used.begin())];
    throw Error("'" + name + "' is no place of the model" +
                (name == "outputs" ? ": no layer ends in an activation, and others are named one "
                                     "by one, as output:LAYER"
                                   : ""));
  }
  return places;
}

std::vector<std::vector<PlaceChoice>> choices_for(const ClassifierRuns& runs,
                                                  const std::vector<LayerPlace>& places,
                                                  const ChoiceOptions& options) {
  const TensorTour tour(runs, places, options.after_batch);
  const std::vector<Quantizers> quantizers =
      options.quantizers.empty() ? fixed_point_quantizers(tour, places, options)
                                 : std::vector<Quantizers>(places.size(), options.quantizers);
  return fitted(tour, places, quantizers);
}

std::vector<std::vector<PlaceChoice>> choices_of(const ClassifierRuns& runs,
                                                 const std::vector<LayerPlace>& places,
                                                 const std::vector<Quantizers>& quantizers,
                                                 const ChoiceOptions& options) {
  return fitted(TensorTour(runs, places, options.after_batch), places, quantizers);
}

}  // namespace tensorquant
