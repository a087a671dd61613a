#include "tensorquant/report/html.h"

#include <array>
#include <cmath>
#include <cstdio>

namespace tensorquant {
namespace {

std::string printed(const char* format, double value) {
  std::array<char, 64> text = {};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

// As JavaScript's parseFloat() reads it.
std::string number_for_script(double value) {
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return printed("%.17g", value);
}

std::string cell_html(const HtmlCell& cell) {
  std::string html = "<td";
  std::string classes = cell.is_number ? "number" : "";
  if (cell.is_marked) classes += classes.empty() ? "marked" : " marked";
  if (!classes.empty()) html += " class=\"" + classes + "\"";
  if (cell.value) html += " data-value=\"" + number_for_script(*cell.value) + "\"";
  html += ">" + escaped(cell.text);
  if (!cell.details.empty()) {
    html += "<details><summary>show</summary><code>" + escaped(cell.details) + "</code></details>";
  }
  return html + "</td>";
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string html;
  for (const char c : text) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      case '\'':
        html += "&#39;";
        break;
      default:
        html += c;
    }
  }
  return html;
}

// < stands in JSON's strings alone, where \u003c is the same.
std::string json_in_script(std::string json) {
  std::string safe;
  for (const char c : json) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

std::string with_prefix(std::optional<double> value) {
  if (!value) return "";
  constexpr std::array<const char*, 6> kPrefixes = {"", " k", " M", " G", " T", " P"};
  double scaled = *value;
  std::size_t prefix = 0;
  for (; std::abs(scaled) >= 999.5 && prefix + 1 < kPrefixes.size(); ++prefix) scaled /= 1000;
  return printed("%.3g", scaled) + kPrefixes[prefix];
}

std::string short_number(std::optional<double> value) {
  if (!value) return "";
  return std::isfinite(*value) ? printed("%.3g", *value) : (*value > 0 ? "∞" : "NaN");
}

std::string percent(std::optional<double> share, int decimals) {
  if (!share) return "";
  return printed(decimals == 0 ? "%.0f %%" : decimals == 1 ? "%.1f %%" : "%.2f %%", 100 * *share);
}

std::string HtmlTable::html() const {
  std::string html = "<div class=\"scroll\"><table id=\"" + escaped(id_) + "\"><thead><tr>";
  for (std::size_t i = 0; i < headings_.size(); ++i) {
    const bool is_number = !rows_.empty() && rows_.front()[i].is_number;
    html += is_number ? "<th class=\"number\">" : "<th>";
    html += escaped(headings_[i]) + "</th>";
  }
  html += "</tr></thead><tbody>\n";
  for (const auto& row : rows_) {
    html += "<tr>";
    for (const HtmlCell& cell : row) html += cell_html(cell);
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

}  // namespace tensorquant
