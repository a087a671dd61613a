// The pages that tell of one map place by place, and layer by layer.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tensorquant/report/charts.h"
#include "tensorquant/report/html.h"
#include "tensorquant/report/image_sets.h"
#include "tensorquant/report/sections.h"

namespace tensorquant {
namespace {

constexpr std::size_t kWorst = 5;

constexpr const char* kNoMap =
    "No map is told of: none was evaluated on test images, which 'tensorquant search' does in the "
    "end, and --maps names none.";

std::string told_map(const Report& report) {
  return "The map is " + report.map_name + ", " + report.map_reason + ".";
}

HtmlCell count(std::optional<double> value) { return {with_prefix(value), value}; }

// The first scores there are, by place and quantizer.
std::map<std::pair<std::string, std::string>, double> kl_alone(const Report& report) {
  std::map<std::pair<std::string, std::string>, double> kls;
  for (const ImageSet& set : image_sets(report.evaluated.maps)) {
    for (const PlaceScore& score : place_scores(set)) {
      kls.emplace(std::pair(score.place, score.quantizer), score.metrics.kl);
    }
  }
  return kls;
}

// The smallest of the worst ones; infinite where there are none.
double worst_from(std::vector<double> values) {
  if (values.size() <= kWorst) return HUGE_VAL;
  std::sort(values.begin(), values.end(), std::greater<>());
  return values[kWorst - 1];
}

std::optional<double> share_of(double part, double all) {
  return all > 0 ? std::optional(part / all) : std::nullopt;
}

class PlaceTable {
 public:
  explicit PlaceTable(const Report& report) : report_(report), kls_(kl_alone(report)) {
    for (std::size_t i = 0; i < report.layers.size(); ++i) layers_[report.layers[i].layer] = i;
    std::vector<double> kls;
    for (const ReportedPlace& place : report.places) {
      reported_[place.format.place] = &place;
      if (const auto kl = kl_of(place)) kls.push_back(*kl);
    }
    worst_ = worst_from(std::move(kls));
  }

  HtmlTable table() const {
    HtmlTable table("places",
                    {"place", "quantizer", "bits", "elements", "MACs", "SQNR (dB)", "saturated",
                     "to zero", "idle bits", "KL alone", "BOPs", "of all", "energy of all"});
    for (const std::string& place : all_places(report_)) table.add(row(place));
    return table;
  }

 private:
  std::optional<double> kl_of(const ReportedPlace& place) const {
    const auto found = kls_.find({place.format.place, place.format.quantizer});
    return found == kls_.end() ? std::nullopt : std::optional(found->second);
  }

  std::vector<HtmlCell> row(const std::string& name) const {
    const std::size_t colon = name.find(':');
    const std::string kind = name.substr(0, colon);
    std::vector<HtmlCell> cells = {name};
    const auto place = reported_.find(name);
    add_format(cells, place == reported_.end() ? nullptr : place->second);
    const auto layer = layers_.find(name.substr(colon + 1));
    std::optional<double> elements, macs, bops, bops_share, energy_share;
    if (layer != layers_.end()) {
      const LayerFacts& facts = report_.layers[layer->second];
      elements = static_cast<double>(kind == "weight" ? facts.weights
                                     : kind == "bias" ? facts.biases
                                                      : facts.outputs);
      if (kind == "weight") {
        macs = static_cast<double>(facts.macs);
        if (report_.cost) {
          const LayerCost& cost = report_.cost->layers[layer->second];
          bops = cost.bops;
          bops_share = share_of(cost.bops, report_.cost->bops);
          energy_share = share_of(cost.energy, report_.cost->energy);
        }
      }
    }
    cells.insert(cells.begin() + 3, {count(elements), count(macs)});
    cells.push_back(count(bops));
    cells.push_back({percent(bops_share), bops_share});
    cells.push_back({percent(energy_share), energy_share});
    return cells;
  }

  // Quantizer, bits, SQNR, saturated, to zero, idle bits, KL.
  void add_format(std::vector<HtmlCell>& cells, const ReportedPlace* place) const {
    if (place == nullptr) {
      cells.push_back("float");
      cells.push_back({"32", 32.0});
      for (int i = 0; i < 5; ++i) cells.push_back({"", std::nullopt});
      return;
    }
    cells.push_back(place->format.quantizer);
    cells.push_back({std::to_string(place->format.bits), static_cast<double>(place->format.bits)});
    std::optional<double> sqnr, saturated, zero, idle;
    std::string sqnr_text;
    if (place->values) {
      const TensorFit& fit = place->values->fit;
      sqnr = fit.sqnr();
      sqnr_text = sqnr ? short_number(sqnr) : fit.error == 0 ? "exact" : "";
      saturated = fit.counts.saturated_share();
      zero = fit.counts.became_zero_share();
      if (place->values->idle_bits) idle = *place->values->idle_bits;
    }
    cells.push_back({sqnr_text, sqnr});
    cells.push_back({percent(saturated, 2), saturated});
    cells.push_back({percent(zero, 1), zero});
    cells.push_back({short_number(idle), idle});
    const std::optional<double> kl = kl_of(*place);
    cells.push_back({short_number(kl), kl});
    cells.back().is_marked = kl && *kl >= worst_;
  }

  const Report& report_;
  std::map<std::pair<std::string, std::string>, double> kls_;
  std::map<std::string, std::size_t> layers_;
  std::map<std::string, const ReportedPlace*> reported_;
  double worst_ = HUGE_VAL;
};

HtmlCell bits(std::optional<int> value) {
  return value ? HtmlCell(std::to_string(*value), static_cast<double>(*value))
               : HtmlCell("", std::nullopt);
}

}  // namespace

void add_values(Page& page, const Report& report) {
  page.section("Values and formats");
  if (report.places.empty()) return page.missing(kNoMap);
  const bool any = std::any_of(report.places.begin(), report.places.end(),
                               [](const ReportedPlace& place) { return place.values.has_value(); });
  if (!any) {
    return page.missing(
        "What the tensors hold is not told: a store keeps results alone. 'tensorquant report "
        "--checkpoint FILE', with --data for "
        "activations, looks at them.");
  }
  page.paragraph(
      "How the float network's magnitudes are spread, in octaves, and, as a line, what the format "
      "covers: from its step to its "
      "largest number. What lies to the right of the line saturates; what lies more than an octave "
      "to its left becomes zero. " +
      told_map(report));
  page.chart(values_chart(report.places));
  const bool all = std::all_of(report.places.begin(), report.places.end(),
                               [](const ReportedPlace& place) { return place.values.has_value(); });
  if (!all) page.missing("Places without colours: their activations are not known without --data.");
}

void add_places(Page& page, const Report& report) {
  page.section("Places");
  if (report.places.empty()) page.missing(kNoMap);
  page.html(PlaceTable(report).table().html());
  std::string text =
      "A click on a heading sorts. KL alone: what the place loses in its format while all others "
      "are float; the worst five are "
      "marked. BOPs and energy stand with the weight that is multiplied.";
  if (!report.places.empty()) text = told_map(report) + " " + text;
  page.paragraph(text);
}

void add_arithmetic(Page& page, const Report& report) {
  page.section("Arithmetic");
  if (report.accumulators.empty()) {
    return page.missing(report.layers.empty()
                            ? "Accumulators are not told: nothing is known of the model's layers."
                            : kNoMap);
  }
  HtmlTable table("accumulators", {"layer", "type", "products in a sum", "weight bits",
                                   "input bits", "accumulator bits given", "seen", "worst case"});
  bool any_given = false, any_seen = false;
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    const LayerFacts& facts = report.layers[i];
    if (facts.macs == 0) continue;
    const ReportedAccumulator& accumulator = report.accumulators[i];
    any_given = any_given || accumulator.given;
    any_seen = any_seen || accumulator.seen;
    table.add({facts.layer, facts.type, count(static_cast<double>(facts.terms)),
               bits(report.formats[i].weight.bits), bits(report.cost->layers[i].input.bits),
               bits(accumulator.given), bits(accumulator.seen), bits(accumulator.worst_case)});
  }
  page.html(table.html());
  page.paragraph(
      "With the bits of the worst case no input and no order of additions overflows. None is told "
      "for floats, powers of two and "
      "zero points.");
  if (!any_given)
    page.missing("The map rounds no arithmetic: its accumulators are as wide as they need.");
  if (!any_seen) {
    page.missing(
        "What accumulators have needed is not told: 'tensorquant evaluate --ranges --json' "
        "measures it, and --ranges takes its report.");
  }
}

namespace {

std::map<std::string, std::size_t> numbers_of_kinds(const EvaluatedMap& map) {
  std::map<std::string, std::size_t> kinds;
  for (const PlaceFormat& one : map.places) ++kinds[one.place.substr(0, one.place.find(':'))];
  return kinds;
}

}  // namespace

void add_accuracy_over_widths(Page& page, const Report& report) {
  page.section("Accuracy over widths");
  for (const ImageSet& set : image_sets(report.evaluated.maps)) {
    std::map<std::string, std::size_t> counts;  // of maps that have all that were searched
    for (const EvaluatedMap* const map : set.maps) {
      for (const auto& [kind, number] : numbers_of_kinds(*map)) {
        counts[kind] = std::max(counts[kind], number);
      }
    }
    std::vector<WidthPoint> points;
    for (const EvaluatedMap* const map : set.maps) {
      const std::map<std::string, std::size_t> kinds = numbers_of_kinds(*map);
      const bool whole = std::all_of(kinds.begin(), kinds.end(), [&](const auto& kind) {
        return counts[kind.first] == kind.second;
      });
      const std::optional<int> width = map->uniform_bits(map->places.size());
      if (!whole || !width || map->places.size() < 2) continue;
      std::string what;
      for (const auto& [kind, number] : kinds) what += (what.empty() ? "" : " and ") + kind + "s";
      points.push_back({what + (kinds.size() == 1 ? " alone" : ""), *width, map->accuracy(),
                        2 * map->metrics.loss_error()});
    }
    if (points.size() < 2) continue;
    page.paragraph("One width everywhere, on " + set.title() +
                   ". Bars are two standard errors of the loss against float.");
    return page.chart(widths_chart(points, set.float_accuracy));
  }
  page.missing("The store holds no maps of one width everywhere for two widths or more.");
}

}  // namespace tensorquant
