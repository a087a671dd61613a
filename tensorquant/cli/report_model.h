#ifndef TENSORQUANT_CLI_REPORT_MODEL_H_
#define TENSORQUANT_CLI_REPORT_MODEL_H_

#include <map>
#include <string>

#include "tensorquant/base/error.h"
#include "tensorquant/maps/override.h"
#include "tensorquant/models/model.h"
#include "tensorquant/report/report.h"
#include "tensorquant/store/store.h"

namespace tensorquant::cli {

// The store's model. Null where it is none of ours; a store that another program made may have its
// name.
const ModelInfo* model_of(const Store& store);
// The Error for what needs to know more of it; `folder` is the store's.
Error unknown_model(const std::string& folder, const Store& store);

// What is told of the store's model: layers, costs of all maps, and one map in detail.
class ReportedModel {
 public:
  ReportedModel(const ModelInfo& info, Technology technology);

  // After which costs depend on these weights. An Error where they are not the store's.
  void load(const std::string& checkpoint, const Store& store);
  // Of each map.
  void add_costs(std::vector<EvaluatedMap>& maps);
  const std::string& technology() const { return energies_; }
  // layers, technology, comparisons, and the cost of each evaluated map.
  void add_costs(Report& report);
  // cost, formats and accumulators of the map; `seen` are accumulator bits by layer.
  void add_map(Report& report, const std::string& maps, const std::map<std::string, int>& seen);
  // Values of the report's places; of outputs where there is data.
  void add_values(Report& report, const ImageDataset* data);

 private:
  MapCost cost_of(const Override& maps);
  std::vector<LayerFormats> formats_of(const Override& maps);

  const ModelInfo& info_;
  std::string energies_;  // whose they are, with their source
  std::shared_ptr<ImageClassifier> model_;
  std::vector<LayerFacts> facts_;
  CostFunction cost_;
  bool has_weights_ = false;
};

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_REPORT_MODEL_H_
