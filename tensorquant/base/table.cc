#include "tensorquant/base/table.h"

#include <algorithm>
#include <cstdio>

#include "tensorquant/base/error.h"
#include "tensorquant/base/text.h"

namespace tensorquant {
namespace {

struct Cell {
  explicit Cell(std::string_view content) : text(one_line(content)), width(display_width(text)) {}

  std::string text;
  std::size_t width;
};

}  // namespace

std::string format_table(const std::vector<std::string>& headings,
                         const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<Cell>> lines;
  lines.reserve(rows.size() + 1);
  lines.emplace_back(headings.begin(), headings.end());
  for (const auto& row : rows) lines.emplace_back(row.begin(), row.end());

  std::vector<std::size_t> widths(headings.size(), 0);
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].width);
  }
  std::string text;
  for (const auto& cells : lines) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      line += cells[i].text + std::string(widths[i] - cells[i].width + 2, ' ');
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string cell(const char* format, double number) {
  char text[32];
  std::snprintf(text, sizeof text, format, number);
  return text;
}

}  // namespace tensorquant
