#include "tensorquant/report/charts.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace tensorquant {
namespace {

using nlohmann::ordered_json;

// A specification with the look that all charts share.
ordered_json specification(const char* text) {
  ordered_json spec = ordered_json::parse(text);
  spec["$schema"] = "https://vega.github.io/schema/vega-lite/v6.json";
  spec["config"] = ordered_json::parse(R"json({
    "font": "system-ui, 'DejaVu Sans', sans-serif",
    "view": {"stroke": "#d5dae0"},
    "axis": {"gridColor": "#eceff2", "titleFontWeight": 500, "labelLimit": 260},
    "legend": {"titleFontWeight": 500},
    "title": {"anchor": "start", "fontWeight": 600, "fontSize": 13}})json");
  return spec;
}

ordered_json& at(ordered_json& spec, const char* pointer) {
  return spec[ordered_json::json_pointer(pointer)];
}

// JSON has no infinity.
ordered_json or_null(double value) {
  return std::isfinite(value) ? ordered_json(value) : ordered_json();
}

// The KLs that a logarithmic scale can show, which has neither 0 nor infinity.
struct LogRange {
  explicit LogRange(const std::vector<PlaceScore>& scores) {
    for (const PlaceScore& score : scores) {
      const double kl = score.metrics.kl;
      if (!std::isfinite(kl) || kl < 1e-9) continue;
      least = std::min(least, kl);
      most = std::max(most, kl);
    }
    most = std::max(most, 2 * least);
  }
  double shown(double kl) const { return std::isfinite(kl) ? std::clamp(kl, least, most) : most; }

  double least = 1, most = 1e-9;
};

// The three places that lose most, over all widths.
ordered_json worst_places(const std::vector<PlaceScore>& scores,
                          const std::vector<std::string>& places, const LogRange& range) {
  std::vector<std::pair<double, std::string>> gains;
  for (const std::string& place : places) {
    double gain = 0;
    for (const PlaceScore& score : scores) {
      if (score.place == place) gain -= std::log(range.shown(score.metrics.kl) / range.least);
    }
    gains.emplace_back(gain, place);
  }
  std::sort(gains.begin(), gains.end());
  ordered_json worst = ordered_json::array();
  for (std::size_t i = 0; i < std::min<std::size_t>(3, gains.size()); ++i) {
    worst.push_back({{"place", gains[i].second}});
  }
  return worst;
}

// In percent, with room around it; what is more than `span` below the best is out of sight.
ordered_json accuracy_domain(double lowest, double highest, double span) {
  const double low = std::max(lowest, highest - span);
  const double room = std::max((highest - low) * 0.06, 0.2);
  return ordered_json::array({std::max(low - room, 0.0), std::min(highest + room, 100.0)});
}

constexpr double kSpan = 25;  // points of accuracy

}  // namespace

std::string sensitivity_chart(const std::vector<PlaceScore>& scores,
                              const std::vector<std::string>& places) {
  ordered_json spec = specification(R"json({
    "spacing": 40,
    "resolve": {"scale": {"color": "independent"}},
    "hconcat": [{
      "title": "KL of one place alone, all others float (click picks a place, shift-click more)",
      "width": {"step": 58},
      "height": {"step": 24},
      "encoding": {
        "x": {"field": "bits", "type": "ordinal", "title": "width (bits)", "axis": {"labelAngle": 0, "orient": "top"}},
        "y": {"field": "place", "type": "nominal", "title": null}},
      "layer": [{
        "mark": {"type": "rect", "stroke": "white", "cursor": "pointer"},
        "params": [{"name": "picked", "select": {"type": "point", "fields": ["place"]}}],
        "encoding": {"color": {"field": "shown", "type": "quantitative", "title": "KL (nats)",
          "scale": {"type": "log", "range": ["#fffde8", "#fee6a8", "#fdb365", "#ee6a3c", "#c11f26", "#7f0f22"]}, "legend": {"format": ".0e", "gradientLength": 160}}}
      }, {
        "mark": {"type": "text", "fontSize": 10},
        "encoding": {
          "text": {"field": "kl", "type": "quantitative", "format": ".1e"},
          "color": {"condition": {"test": {"field": "shown", "gt": 0}, "value": "white"}, "value": "#333"}}
      }]
    }, {
      "title": "picked places",
      "width": 330,
      "height": 250,
      "encoding": {
        "x": {"field": "bits", "type": "quantitative", "title": "width (bits)",
          "axis": {"tickMinStep": 1, "format": "d"}, "scale": {"zero": false, "nice": false}},
        "y": {"field": "shown", "type": "quantitative", "title": "KL (nats)",
          "axis": {"format": ".0e", "tickCount": 6}, "scale": {"type": "log"}}},
      "layer": [{
        "mark": {"type": "line", "color": "#dfe3e7", "strokeWidth": 1},
        "encoding": {"detail": {"field": "place"}}
      }, {
        "transform": [{"filter": {"param": "picked", "empty": false}}],
        "mark": {"type": "line", "point": {"size": 45}, "strokeWidth": 2},
        "encoding": {"color": {"field": "place", "type": "nominal", "title": "picked",
          "legend": {"orient": "bottom", "columns": 2, "labelLimit": 200}}}
      }]
    }]})json");
  const ordered_json tooltip = ordered_json::parse(R"json([
    {"field": "place"}, {"field": "quantizer"}, {"field": "kl", "title": "KL (nats)", "format": ".3g"},
    {"field": "flips", "title": "images with another answer"}, {"field": "images", "title": "of images"},
    {"field": "loss", "title": "loss (points)", "format": ".2f"},
    {"field": "error", "title": "its standard error", "format": ".2f"}])json");
  const LogRange range(scores);
  ordered_json values = ordered_json::array();
  for (const PlaceScore& score : scores) {
    const LogitMetrics& metrics = score.metrics;
    values.push_back({{"place", score.place},
                      {"quantizer", score.quantizer},
                      {"bits", score.bits},
                      {"kl", or_null(metrics.kl)},
                      {"shown", range.shown(metrics.kl)},
                      {"flips", metrics.flips},
                      {"images", metrics.images},
                      {"loss", 100 * metrics.loss()},
                      {"error", 100 * metrics.loss_error()}});
  }
  const double row = places.size() > 16 ? 17 : 24;
  at(spec, "/data/values") = std::move(values);
  at(spec, "/hconcat/0/height/step") = row;
  at(spec, "/hconcat/0/encoding/y/sort") = places;
  at(spec, "/hconcat/0/layer/0/params/0/value") = worst_places(scores, places, range);
  at(spec, "/hconcat/0/layer/0/encoding/tooltip") = tooltip;
  // White on what is dark.
  at(spec, "/hconcat/0/layer/1/encoding/color/condition/test/gt") =
      range.least * std::pow(range.most / range.least, 0.58);
  at(spec, "/hconcat/1/height") =
      std::clamp(row * static_cast<double>(places.size()) - 70, 150.0, 360.0);
  at(spec, "/hconcat/1/layer/1/encoding/tooltip") = tooltip;
  return spec.dump();
}

std::string accuracy_chart(const std::vector<AccuracyPoint>& points, double float_accuracy) {
  ordered_json spec = specification(R"json({
    "width": 900,
    "height": 320,
    "encoding": {
      "x": {"field": "bops", "type": "quantitative", "title": "bit operations per image (BOPs)",
        "scale": {"type": "log", "nice": false, "padding": 25}, "axis": {"format": "~s", "tickCount": 6}},
      "color": {"field": "kind", "type": "nominal", "title": null, "legend": {"orient": "top"},
        "scale": {"domain": ["on the front", "uniform", "other"], "range": ["#2166ac", "#d6604d", "#9aa3ad"]}}},
    "layer": [{
      "data": {"values": [{}]},
      "mark": {"type": "rule", "strokeDash": [5, 4]},
      "encoding": {"x": {"value": 0}, "x2": {"value": "width"}, "color": {"value": "#555"}, "y": {"type": "quantitative", "title": "accuracy (%)"}}
    }, {
      "data": {"values": [{}]},
      "mark": {"type": "text", "align": "left", "dy": -6, "dx": 4, "text": "float"},
      "encoding": {"x": {"value": 0}, "color": {"value": "#555"}, "y": {"type": "quantitative", "title": "accuracy (%)"}}
    }, {
      "transform": [{"filter": {"field": "front", "equal": true}}],
      "mark": {"type": "line", "interpolate": "step-after", "opacity": 0.5, "clip": true},
      "encoding": {"color": {"value": "#2166ac"}, "y": {"field": "accuracy", "type": "quantitative", "title": "accuracy (%)"}}
    }, {
      "mark": {"type": "rule", "clip": true, "opacity": 0.55},
      "encoding": {"y": {"field": "low", "type": "quantitative", "title": "accuracy (%)"}, "y2": {"field": "high"}}
    }, {
      "mark": {"type": "point", "filled": true, "size": 60, "opacity": 0.95, "clip": true},
      "encoding": {"y": {"field": "accuracy", "type": "quantitative", "title": "accuracy (%)"}, "tooltip": [
        {"field": "map"}, {"field": "label", "title": "uniform"},
        {"field": "accuracy", "title": "accuracy (%)", "format": ".2f"},
        {"field": "loss", "title": "loss (points)", "format": ".2f"},
        {"field": "error", "title": "its standard error", "format": ".2f"},
        {"field": "bops", "title": "BOPs", "format": ".3s"}]}
    }, {
      "transform": [{"filter": {"not": {"field": "label", "equal": ""}}}],
      "mark": {"type": "text", "dx": -7, "dy": 12, "align": "right"},
      "encoding": {"y": {"field": "accuracy", "type": "quantitative", "title": "accuracy (%)"}, "text": {"field": "label"}}
    }]})json");
  ordered_json values = ordered_json::array();
  double lowest = 100 * float_accuracy, highest = lowest;
  for (const AccuracyPoint& point : points) {
    lowest = std::min(lowest, 100 * (point.accuracy - point.error));
    highest = std::max(highest, 100 * (point.accuracy + point.error));
    const std::string label =
        point.uniform_bits ? std::to_string(*point.uniform_bits) + " bits" : std::string();
    values.push_back({{"map", point.name},
                      {"kind", point.kind},
                      {"label", label},
                      {"front", point.on_front},
                      {"bops", point.bops},
                      {"accuracy", 100 * point.accuracy},
                      {"low", 100 * (point.accuracy - point.error)},
                      {"high", 100 * (point.accuracy + point.error)},
                      {"loss", 100 * point.loss},
                      {"error", 50 * point.error}});
  }
  at(spec, "/data/values") = std::move(values);
  at(spec, "/layer/0/encoding/y/datum") = 100 * float_accuracy;
  at(spec, "/layer/0/encoding/y/scale") = {{"domain", accuracy_domain(lowest, highest, kSpan)},
                                           {"zero", false}};
  at(spec, "/layer/1/encoding/y/datum") = 100 * float_accuracy;
  return spec.dump();
}

std::string widths_chart(const std::vector<WidthPoint>& points, double float_accuracy) {
  ordered_json spec = specification(R"json({
    "width": 640,
    "height": 280,
    "encoding": {
      "x": {"field": "bits", "type": "quantitative", "title": "width (bits)", "axis": {"tickMinStep": 1, "format": "d"},
        "scale": {"zero": false, "padding": 20}},
      "color": {"field": "what", "type": "nominal", "title": null, "legend": {"orient": "top"}}},
    "layer": [{
      "data": {"values": [{}]},
      "mark": {"type": "rule", "strokeDash": [5, 4]},
      "encoding": {"x": {"value": 0}, "x2": {"value": "width"}, "color": {"value": "#555"}, "y": {"type": "quantitative", "title": "accuracy (%)"}}
    }, {
      "mark": {"type": "rule", "clip": true, "opacity": 0.6},
      "encoding": {"y": {"field": "low", "type": "quantitative", "title": "accuracy (%)"}, "y2": {"field": "high"}}
    }, {
      "mark": {"type": "line", "point": {"size": 50}, "clip": true},
      "encoding": {"y": {"field": "accuracy", "type": "quantitative", "title": "accuracy (%)"}, "tooltip": [
        {"field": "what", "title": "quantized"}, {"field": "bits"}, {"field": "accuracy", "title": "accuracy (%)", "format": ".2f"}]}
    }]})json");
  ordered_json values = ordered_json::array();
  for (const WidthPoint& point : points) {
    values.push_back({{"what", point.what},
                      {"bits", point.bits},
                      {"accuracy", 100 * point.accuracy},
                      {"low", 100 * (point.accuracy - point.error)},
                      {"high", 100 * (point.accuracy + point.error)}});
  }
  at(spec, "/data/values") = std::move(values);
  at(spec, "/layer/0/encoding/y/datum") = 100 * float_accuracy;
  at(spec, "/layer/0/encoding/y/scale") = {{"zero", false}};
  return spec.dump();
}

std::string values_chart(const std::vector<ReportedPlace>& places) {
  ordered_json spec = specification(R"json({
    "height": {"step": 20},
    "width": 760,
    "encoding": {"y": {"field": "place", "type": "nominal", "title": null}},
    "layer": [{
      "mark": {"type": "rect", "clip": true},
      "encoding": {
        "x": {"field": "octave", "type": "quantitative", "title": "log2 of the magnitude",
          "axis": {"tickMinStep": 1, "orient": "top"}, "scale": {"zero": false, "nice": false}},
        "x2": {"field": "end"},
        "color": {"field": "share", "type": "quantitative", "title": "share of values",
          "scale": {"range": ["#f1f6fb", "#a8c9e6", "#4a8cc2", "#17538c"]}, "legend": {"format": ".0%"}},
        "tooltip": [{"field": "place"}, {"field": "octave", "title": "from 2 to the power of"},
          {"field": "share", "title": "share of values", "format": ".2%"}]}
    }, {
      "transform": [{"filter": {"field": "low", "valid": true}}],
      "mark": {"type": "rule", "strokeWidth": 2.5, "color": "#d6604d", "clip": true},
      "encoding": {"x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}, "tooltip": [
        {"field": "place"}, {"field": "quantizer"}, {"field": "saturated", "format": ".3%"},
        {"field": "zero", "title": "to zero", "format": ".2%"}, {"field": "sqnr", "title": "SQNR (dB)", "format": ".3g"}]}
    }, {
      "transform": [{"filter": {"field": "low", "valid": true}}],
      "mark": {"type": "tick", "thickness": 2.5, "size": 13, "color": "#d6604d", "clip": true},
      "encoding": {"x": {"field": "low", "type": "quantitative"}}
    }, {
      "transform": [{"filter": {"field": "high", "valid": true}}],
      "mark": {"type": "tick", "thickness": 2.5, "size": 13, "color": "#d6604d", "clip": true},
      "encoding": {"x": {"field": "high", "type": "quantitative"}}
    }]})json");
  ordered_json values = ordered_json::array(), names = ordered_json::array();
  double least = 0, most = 0;
  bool any = false;
  const auto include = [&](double low, double high) {
    least = any ? std::min(least, low) : low;
    most = any ? std::max(most, high) : high;
    any = true;
  };
  for (const ReportedPlace& place : places) {
    const std::string& name = place.format.place;
    names.push_back(name);
    if (place.step && place.bound) {
      const double low = std::log2(*place.step), high = std::log2(*place.bound);
      include(low - 4, high + 0.5);
      ordered_json ends = {
          {"place", name}, {"quantizer", place.format.quantizer}, {"low", low}, {"high", high}};
      if (place.values) {
        const TensorFit& fit = place.values->fit;
        ends["saturated"] = or_null(fit.counts.saturated_share().value_or(NAN));
        ends["zero"] = or_null(fit.counts.became_zero_share().value_or(NAN));
        ends["sqnr"] = or_null(fit.sqnr().value_or(NAN));
      }
      values.push_back(std::move(ends));
    }
    if (!place.values) continue;
    for (const auto& [octave, count] : place.values->octaves) {
      values.push_back(
          {{"place", name},
           {"octave", octave},
           {"end", octave + 1},
           {"share", static_cast<double>(count) / static_cast<double>(place.values->values)}});
    }
    if (!place.values->octaves.empty()) {
      const int top = place.values->octaves.rbegin()->first + 1;
      include(top - 6, top);
    }
  }
  at(spec, "/data/values") = std::move(values);
  at(spec, "/encoding/y/sort") = std::move(names);
  at(spec, "/layer/0/encoding/x/scale/domain") = {least, most};
  return spec.dump();
}

}  // namespace tensorquant
