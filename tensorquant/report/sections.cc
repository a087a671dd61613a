#include "tensorquant/report/sections.h"

#include <algorithm>
#include <set>

#include "tensorquant/base/error.h"
#include "tensorquant/report/charts.h"
#include "tensorquant/report/html.h"
#include "tensorquant/report/image_sets.h"

namespace tensorquant {

void add_sensitivity(Page& page, const Report& report) {
  page.section("Sensitivity");
  for (const ImageSet& set : image_sets(report.evaluated.maps)) {
    const std::vector<PlaceScore> scores = place_scores(set);
    if (scores.empty()) continue;
    std::vector<std::string> places = all_places(report);
    std::erase_if(places, [&](const std::string& place) {
      return std::none_of(scores.begin(), scores.end(),
                          [&](const PlaceScore& score) { return score.place == place; });
    });
    page.paragraph(
        "What each place loses at each width while all others are float: the mean divergence (KL) "
        "of the network's "
        "probabilities from those of the float network, over " +
        set.title() +
        ". A sum of these scores ranks maps; it is no forecast of what they lose together.");
    page.chart(sensitivity_chart(scores, places));
    return;
  }
  page.missing("The store holds no map of one place alone: 'tensorquant sensitivity' makes them.");
}

void add_accuracy_over_cost(Page& page, const Report& report) {
  page.section("Accuracy over cost");
  bool any = false;
  for (const ImageSet& set : image_sets(report.evaluated.maps)) {
    const std::vector<AccuracyPoint> points = accuracy_points(set);
    if (points.empty()) continue;
    const std::string id = "front" + std::string(any ? one_line(set.data) : "");
    any = true;
    page.html("<h3>" + escaped(set.title()) + "</h3>\n");
    if (points.size() > 1) page.chart(accuracy_chart(points, set.float_accuracy));
    HtmlTable front(id, {"map", "width", "BOPs", "bits of parameters", "accuracy", "loss (points)",
                         "± 2 standard errors", "maps"});
    for (const AccuracyPoint& point : points) {
      if (!point.on_front) continue;
      HtmlCell maps("");
      maps.details = one_line(point.map->maps);
      front.add({point.name,
                 point.uniform_bits ? std::to_string(*point.uniform_bits) + " bits" : "mixed",
                 HtmlCell(with_prefix(point.bops), point.bops),
                 HtmlCell(with_prefix(point.map->cost->bits), point.map->cost->bits),
                 HtmlCell(percent(point.accuracy, 2), point.accuracy),
                 HtmlCell(short_number(100 * point.loss), point.loss),
                 HtmlCell(short_number(100 * point.error), point.error), maps});
    }
    page.html(front.html());
  }
  if (any) {
    page.paragraph(
        "Tables have the maps of the front: no map that costs as little is as accurate. Bars and "
        "errors are two "
        "standard errors of the loss against float on the same images. The maps of a row are a "
        "file for --maps.");
  } else {
    page.missing(
        "The store holds no maps of many places with known costs: 'tensorquant search' makes "
        "them.");
  }
}

}  // namespace tensorquant
