#ifndef TENSORQUANT_CLI_REPORT_MODEL_H_
#define TENSORQUANT_CLI_REPORT_MODEL_H_

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tensorquant/base/error.h"
#include "tensorquant/cli/searched_model.h"
#include "tensorquant/maps/override.h"
#include "tensorquant/report/report.h"
#include "tensorquant/store/store.h"

namespace tensorquant::cli {

// The store's model: a network of ours, or the ONNX file that `checkpoint` is; without a checkpoint
// a network without weights. Nothing where it is none of these; a store that another program made
// may have its name.
std::optional<ModelSource> model_of(const Store& store, const std::string& checkpoint);
// The Error for what needs to know more of it; `folder` is the store's.
Error unknown_model(const std::string& folder, const Store& store);

// What is told of the store's model: layers, costs of all maps, and one map in detail.
class ReportedModel {
 public:
  // Costs depend on weights if there is a checkpoint. An Error where it is not the store's. `data`
  // may be "": see SearchedModel::facts().
  ReportedModel(const ModelSource& source, const Store& store, const std::string& data,
                Technology technology);

  // Of each map.
  void add_costs(std::vector<EvaluatedMap>& maps);
  const std::string& technology() const { return energies_; }
  // layers, technology, comparisons, and the cost of each evaluated map.
  void add_costs(Report& report);
  // cost, formats and accumulators of the map; `seen` are accumulator bits by layer.
  void add_map(Report& report, const std::string& maps, const std::map<std::string, int>& seen);
  // Values of the report's places; of outputs where there is data, or where the model has some.
  void add_values(Report& report, DataOptions& data);

 private:
  MapCost cost_of(const Override& maps);
  std::vector<LayerFormats> formats_of(const Override& maps);

  ClassifierRuns activations(DataOptions& data);

  const ModelSource source_;
  std::string energies_;  // whose they are, with their source
  std::unique_ptr<SearchedModel> model_;
  std::vector<LayerFacts> facts_;
  CostFunction cost_;
  SearchedSamples samples_;
};

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_REPORT_MODEL_H_
