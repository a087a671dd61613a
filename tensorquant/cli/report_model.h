#ifndef TENSORQUANT_CLI_REPORT_MODEL_H_
#define TENSORQUANT_CLI_REPORT_MODEL_H_

#include <map>
#include <string>

#include "tensorquant/maps/override.h"
#include "tensorquant/models/model.h"
#include "tensorquant/report/report.h"

namespace tensorquant::cli {

// What a report tells of the store's model: layers, costs of all maps, and one map in detail.
class ReportedModel {
 public:
  ReportedModel(const ModelInfo& info, Technology technology);

  // Of the checkpoint, after which costs depend on its weights.
  void load(const std::string& checkpoint);
  // layers, technology, comparisons, and the cost of each evaluated map of more than one place.
  void add_costs(Report& report);
  // cost, formats and accumulators of the map; `seen` are accumulator bits by layer.
  void add_map(Report& report, const std::string& maps, const std::map<std::string, int>& seen);
  // Values of the report's places; of outputs where there is data.
  void add_values(Report& report, const ImageDataset* data);

 private:
  MapCost cost_of(const Override& maps);
  std::vector<LayerFormats> formats_of(const Override& maps);

  const ModelInfo& info_;
  Technology technology_;
  std::shared_ptr<ImageClassifier> model_;
  std::vector<LayerFacts> facts_;
  CostFunction cost_;
  bool has_weights_ = false;
};

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_REPORT_MODEL_H_
