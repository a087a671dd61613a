#include "tensorquant/report/image_sets.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "tensorquant/search/front.h"

namespace tensorquant {
namespace {

constexpr std::array<const char*, 4> kPurposes = {"test", "search", "", "score"};

std::size_t rank_of(const std::string& purpose) {
  const auto found = std::find(kPurposes.begin(), kPurposes.end(), purpose);
  return found == kPurposes.end() ? 2 : static_cast<std::size_t>(found - kPurposes.begin());
}

}  // namespace

std::string ImageSet::title() const {
  const std::string name = purpose.empty() ? "images" : purpose + " images";
  return std::to_string(images) + " " + name;
}

std::vector<ImageSet> image_sets(const std::vector<EvaluatedMap>& maps) {
  std::vector<ImageSet> sets;
  for (const EvaluatedMap& map : maps) {
    auto set = std::find_if(sets.begin(), sets.end(), [&](const ImageSet& one) {
      return one.data == map.data && one.images == map.metrics.images;
    });
    if (set == sets.end()) {
      const LogitMetrics& metrics = map.metrics;
      const auto right =
          static_cast<double>(metrics.correct + metrics.lost) - static_cast<double>(metrics.won);
      sets.push_back(
          {map.purpose, map.data, metrics.images, right / static_cast<double>(metrics.images), {}});
      set = sets.end() - 1;
    }
    set->maps.push_back(&map);
  }
  std::stable_sort(sets.begin(), sets.end(), [](const ImageSet& a, const ImageSet& b) {
    return rank_of(a.purpose) < rank_of(b.purpose);
  });
  return sets;
}

std::vector<PlaceScore> place_scores(const ImageSet& set) {
  std::vector<PlaceScore> scores;
  for (const EvaluatedMap* const map : set.maps) {
    if (map->places.size() != 1) continue;
    const PlaceFormat& only = map->places.front();
    scores.push_back({only.place, only.quantizer, only.bits, map->metrics});
  }
  return scores;
}

std::vector<AccuracyPoint> accuracy_points(const ImageSet& set) {
  std::vector<AccuracyPoint> points;
  std::size_t places = 0;  // of a map of all that were searched
  for (const EvaluatedMap* const map : set.maps) places = std::max(places, map->places.size());
  for (const EvaluatedMap* const map : set.maps) {
    if (map->places.size() < 2 || !map->cost) continue;
    const std::optional<int> uniform = map->uniform_bits(places);
    points.push_back({map->name, uniform ? "uniform" : "other", map->accuracy(),
                      2 * map->metrics.loss_error(), map->metrics.loss(), map->cost->bops, uniform,
                      map});
  }
  const auto costed = [](const AccuracyPoint& point) {
    return CostAndAccuracy{point.bops, point.accuracy};
  };
  std::stable_sort(points.begin(), points.end(), [&](const auto& a, const auto& b) {
    return comes_before(costed(a), costed(b));
  });
  std::vector<CostAndAccuracy> all;
  std::transform(points.begin(), points.end(), std::back_inserter(all), costed);
  for (const std::size_t i : front(all)) {
    points[i].on_front = true;
    if (!points[i].uniform_bits) points[i].kind = "on the front";
  }
  return points;
}

}  // namespace tensorquant
