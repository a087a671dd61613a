#ifndef TENSORQUANT_REPORT_HTML_H_
#define TENSORQUANT_REPORT_HTML_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tensorquant {

// The text as HTML shows it, in elements and in attributes with double quotes.
std::string escaped(std::string_view text);
// JSON as it may stand in a <script>: nothing in it ends the element.
std::string json_in_script(std::string json);

// 1234567 as "1.23 M"; "" of nothing.
std::string with_prefix(std::optional<double> value);
// Three digits: "0.0123", "1.2e-06"; "" of nothing.
std::string short_number(std::optional<double> value);
// 0.1234 as "12.3 %"; "" of nothing.
std::string percent(std::optional<double> share, int decimals = 1);

struct HtmlCell {
  HtmlCell(std::string cell_text) : text(std::move(cell_text)) {}
  HtmlCell(const char* cell_text) : text(cell_text) {}
  // A number that sorts as such.
  HtmlCell(std::string cell_text, std::optional<double> cell_value)
      : text(std::move(cell_text)), value(cell_value), is_number(true) {}

  std::string text;  // no HTML
  std::optional<double> value = {};
  bool is_number = false;
  bool is_marked = false;
  std::string details = {};  // behind a click
};

// A table that a click on a heading sorts. Its cells are text.
class HtmlTable {
 public:
  HtmlTable(std::string id, std::vector<std::string> headings)
      : id_(std::move(id)), headings_(std::move(headings)) {}

  void add(std::vector<HtmlCell> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  std::string html() const;

 private:
  std::string id_;
  std::vector<std::string> headings_;
  std::vector<std::vector<HtmlCell>> rows_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_REPORT_HTML_H_
