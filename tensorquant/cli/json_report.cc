#include "tensorquant/cli/json_report.h"

#include <cmath>
#include <cstdio>

namespace tensorquant::cli {

using nlohmann::ordered_json;

namespace {

void name_numbers(ordered_json& value) {
  if (value.is_structured()) {
    for (ordered_json& part : value) name_numbers(part);
  } else if (value.is_number_float()) {
    const auto number = value.get<double>();
    if (std::isnan(number)) value = "nan";
    if (std::isinf(number)) value = number > 0 ? "inf" : "-inf";
  }
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string field = "\"";
  for (const char c : text) field += c == '"' ? std::string("\"\"") : std::string(1, c);
  return field + '"';
}

std::string csv_text(const ordered_json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace

ordered_json to_json(const std::vector<LayerSummary>& layers) {
  const auto text = [](const std::string& spec) {
    return spec.empty() ? ordered_json(nullptr) : ordered_json(spec);
  };
  ordered_json rows = ordered_json::array();
  for (const LayerSummary& row : layers) {
    rows.push_back({{"layer", row.layer},
                    {"type", text(row.type)},
                    {"weight", text(row.weight)},
                    {"bias", text(row.bias)},
                    {"output", text(row.output)},
                    {"intrinsic", text(row.intrinsic)},
                    {"rule", text(row.rule)}});
  }
  return rows;
}

ordered_json to_json(const Override& maps) { return ordered_json::parse(maps.to_json()); }

void print(ordered_json value) {
  name_numbers(value);
  // A path may be no UTF-8.
  const std::string text = value.dump(2, ' ', false, ordered_json::error_handler_t::replace);
  std::printf("%s\n", text.c_str());
}

std::string csv(const std::vector<std::string>& keys, ordered_json objects) {
  name_numbers(objects);
  std::string lines;
  const auto add_line = [&](const auto& field_of) {
    for (const std::string& key : keys) {
      lines += (&key == keys.data() ? "" : ",") + csv_field(field_of(key));
    }
    lines += "\r\n";
  };
  add_line([](const std::string& key) { return key; });
  for (const ordered_json& object : objects) {
    add_line([&](const std::string& key) { return csv_text(object.at(key)); });
  }
  return lines;
}

}  // namespace tensorquant::cli
