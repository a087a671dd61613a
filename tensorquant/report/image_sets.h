#ifndef TENSORQUANT_REPORT_IMAGE_SETS_H_
#define TENSORQUANT_REPORT_IMAGE_SETS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "tensorquant/report/charts.h"
#include "tensorquant/report/report.h"

namespace tensorquant {

// The maps that were evaluated on the same images.
struct ImageSet {
  std::string purpose, data;
  std::size_t images;
  double float_accuracy;  // of these images
  std::vector<const EvaluatedMap*> maps;

  std::string title() const;  // "400 search images"
};

// In the order test, search, others, score.
std::vector<ImageSet> image_sets(const std::vector<EvaluatedMap>& maps);

// The choices of one place alone.
std::vector<PlaceScore> place_scores(const ImageSet& set);
// Maps of more than one place whose cost is known, the cheapest first; those that nothing as cheap
// beats are the front.
std::vector<AccuracyPoint> accuracy_points(const ImageSet& set);

}  // namespace tensorquant

#endif  // TENSORQUANT_REPORT_IMAGE_SETS_H_
