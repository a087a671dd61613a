#ifndef TENSORQUANT_REPORT_CHARTS_H_
#define TENSORQUANT_REPORT_CHARTS_H_

#include <optional>
#include <string>
#include <vector>

#include "tensorquant/report/report.h"

namespace tensorquant {

// What a choice of one place alone loses, all others float.
struct PlaceScore {
  std::string place, quantizer;
  int bits;
  LogitMetrics metrics;
};

// A point of accuracy over cost.
struct AccuracyPoint {
  std::string name;        // of the map
  std::string kind;        // "uniform", "on the front", "other"
  double accuracy, error;  // a share; two standard errors of the loss
  double loss;
  double bops;
  std::optional<int> uniform_bits;
  const EvaluatedMap* map;
  bool on_front = false;  // nothing as cheap is as accurate
};

// A point of accuracy over the width of uniform maps.
struct WidthPoint {
  std::string what;  // "weights and outputs"
  int bits;
  double accuracy, error;
};

// Specifications of Vega-Lite, as JSON.
std::string sensitivity_chart(const std::vector<PlaceScore>& scores,
                              const std::vector<std::string>& places);
std::string accuracy_chart(const std::vector<AccuracyPoint>& points, double float_accuracy);
std::string widths_chart(const std::vector<WidthPoint>& points, double float_accuracy);
std::string values_chart(const std::vector<ReportedPlace>& places);

}  // namespace tensorquant

#endif  // TENSORQUANT_REPORT_CHARTS_H_
