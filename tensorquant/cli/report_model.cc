#include "tensorquant/cli/report_model.h"

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "tensorquant/cli/onnx_layers.h"
#include "tensorquant/formats/bounds.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/summary.h"
#include "tensorquant/models/layer_costs.h"
#include "tensorquant/models/place_tensors.h"
#include "tensorquant/report/stored_report.h"

namespace tensorquant::cli {
namespace {

constexpr std::size_t kReportBatch = 128;

void add_ends(ReportedPlace& place, const Quantizer& quantizer) {
  if (const auto fixed = operand_of(&quantizer).fixed_point; fixed) {
    place.step = std::ldexp(1.0, -fixed->fraction);
  }
  if (quantizer.format() == nullptr || scaled_format(quantizer) != nullptr) return;
  const double bound = std::visit([](const auto& f) -> double { return bounds<float>(f).highest; },
                                  *quantizer.format());
  if (std::isfinite(bound)) place.bound = bound;
}

// What is in the model, layer by layer: rules for many layers are none of places.
std::vector<PlaceFormat> places_in_model(ModelRef model) {
  std::vector<PlaceFormat> places;
  const auto add = [&](const char* kind, const std::string& layer, const std::string& quantizer) {
    if (quantizer.empty()) return;
    places.push_back({std::string(kind) + ":" + one_line(layer), one_line(quantizer),
                      operand_of(make_quantizer(quantizer).get()).bits});
  };
  for (const LayerSummary& layer : summary(model)) {
    add("weight", layer.layer, layer.weight);
    add("bias", layer.layer, layer.bias);
    add("output", layer.layer, layer.output);
  }
  return places;
}

std::string shared_text(const Store& store, const char* name) {
  const auto shared = nlohmann::json::parse(store.shared());
  const auto value = shared.find(name);
  return value != shared.end() && value->is_string() ? value->get<std::string>() : "";
}

void require_the_same(const std::string& path, const std::string& ours, const Store& store) {
  const std::string theirs = shared_text(store, "checkpoint");
  if (ours == theirs) return;
  throw Error(path + ": is not the store's checkpoint: its fingerprint is " + ours + ", not " +
              (theirs.empty() ? "known" : theirs));
}

std::unique_ptr<SearchedModel> make_model_of_store(const ModelSource& source, const Store& store) {
  if (!source.checkpoint.empty()) {  // which another network's may be
    require_the_same(source.checkpoint, fingerprint_of_checkpoint(source.checkpoint), store);
  }
  std::unique_ptr<SearchedModel> model = make_searched_model(source);
  if (source.is_file()) require_the_same(source.model, model->fingerprint, store);
  return model;
}

}  // namespace

std::optional<ModelSource> model_of(const Store& store, const std::string& checkpoint) {
  if (shared_text(store, "checkpoint").empty() || shared_text(store, "tensorquant").empty()) {
    return std::nullopt;
  }
  const std::string name = shared_text(store, "model");
  if (is_onnx_file(name)) {
    if (!is_onnx_file(checkpoint)) return std::nullopt;
    const auto shared = nlohmann::ordered_json::parse(store.shared());
    return model_source_in(
        {{"model", checkpoint}, {"onnx", shared.value("onnx", nlohmann::ordered_json::object())}});
  }
  for (const ModelInfo& info : all_models()) {
    if (info.name != name) continue;
    ModelSource source;
    source.model = name;
    source.checkpoint = checkpoint;
    return source;
  }
  return std::nullopt;
}

Error unknown_model(const std::string& folder, const Store& store) {
  const std::string name = shared_text(store, "model");
  if (is_onnx_file(name)) {
    return Error(folder + ": the store's model is a file, '" + name +
                 "': --checkpoint must be that file");
  }
  return Error(folder + ": the store's model, '" + name +
               "', is none of those that come with the program, so nothing is known of its layers");
}

ReportedModel::ReportedModel(const ModelSource& source, const Store& store, const std::string& data,
                             Technology technology)
    : source_(source),
      energies_(technology.name + " (" + technology.source + ")"),
      model_(make_model_of_store(source, store)),
      facts_(model_->facts(data)),
      cost_(facts_, std::move(technology)) {}

std::vector<LayerFormats> ReportedModel::formats_of(const Override& maps) {
  tensorquant::apply(model_->module(), maps);
  std::vector<LayerFormats> formats = layer_formats(model_->module(), facts_);
  if (model_->fingerprint.empty()) {  // these weights tell nothing
    for (LayerFormats& layer : formats) layer.weights = std::nullopt;
  }
  return formats;
}

MapCost ReportedModel::cost_of(const Override& maps) { return cost_(formats_of(maps)); }

void ReportedModel::add_costs(std::vector<EvaluatedMap>& maps) {
  for (EvaluatedMap& map : maps) {
    map.cost = cost_of(Override::from_json(map.maps));
    map.places = places_in_model(model_->module());
  }
}

void ReportedModel::add_costs(Report& report) {
  report.layers = facts_;
  report.technology = energies_;
  add_costs(report.evaluated.maps);
  for (const auto& [name, compared] : compared_maps()) {
    report.comparisons.emplace_back(name, cost_of(compared));
  }
}

void ReportedModel::add_map(Report& report, const std::string& maps,
                            const std::map<std::string, int>& seen) {
  report.formats = formats_of(Override::from_json(maps));
  report.cost = cost_(report.formats);
  for (PlaceFormat& place : places_in_model(model_->module()))
    report.places.push_back({std::move(place)});
  const std::vector<std::optional<int>> worst =
      worst_case_accumulators(model_->module(), facts_, report.formats, *report.cost);
  for (std::size_t i = 0; i < facts_.size(); ++i) {
    const auto found = seen.find(facts_[i].layer);
    report.accumulators.push_back(
        {report.formats[i].accumulator,
         found == seen.end() ? std::nullopt : std::optional(found->second), worst[i]});
  }
}

// Nothing where none are named and none come with the model.
ClassifierRuns ReportedModel::activations(DataOptions& data) {
  ClassifierRuns weights_alone;
  weights_alone.model = &model_->module();
  if (model_->fingerprint.empty()) return weights_alone;
  if (data.path.empty()) {
    try {
      source_.resolve(data);
    } catch (const CLI::Error&) {
      return weights_alone;
    }
  }
  samples_ = model_->load({data.path, Split::train, 0, data.limit}, kReportBatch);
  return samples_.runs;
}

void ReportedModel::add_values(Report& report, DataOptions& data) {
  const ClassifierRuns runs = activations(data);
  std::vector<LayerPlace> places;
  std::vector<std::shared_ptr<const Quantizer>> quantizers;
  std::vector<ReportedPlace*> reported;
  for (ReportedPlace& place : report.places) {
    std::shared_ptr<const Quantizer> quantizer = make_quantizer(place.format.quantizer);
    if (quantizer == nullptr) continue;
    add_ends(place, *quantizer);
    const std::string kind = place.format.place.substr(0, place.format.place.find(':'));
    const bool is_tensor = kind == "weight" || kind == "bias" || kind == "output";
    const bool is_known = !model_->fingerprint.empty() && (kind != "output" || runs.inputs);
    if (!is_tensor || !is_known) continue;
    places.push_back(layer_place(place.format.place));
    quantizers.push_back(std::move(quantizer));
    reported.push_back(&place);
  }
  if (places.empty()) return;
  std::vector<PlaceTensor> tensors = place_tensors(runs, places, quantizers);
  for (std::size_t i = 0; i < places.size(); ++i) {
    PlaceTensor& tensor = tensors[i];
    reported[i]->values = PlaceValues{std::move(tensor.octaves), tensor.values, tensor.fit,
                                      tensor.fit.idle_bits(*quantizers[i])};
  }
}

}  // namespace tensorquant::cli
