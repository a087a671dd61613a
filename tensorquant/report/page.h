#ifndef TENSORQUANT_REPORT_PAGE_H_
#define TENSORQUANT_REPORT_PAGE_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tensorquant {

// An HTML page in the making: sections of prose, tables and charts.
class Page {
 public:
  explicit Page(std::string title) : title_(std::move(title)) {}

  void section(std::string_view heading);
  void paragraph(std::string_view text);  // no HTML
  void missing(std::string_view text);    // why there is nothing, in place of it
  void html(std::string_view html);
  void chart(std::string specification);  // of Vega-Lite, JSON

  // The whole file. Without scripts charts are left out, and the page says so.
  std::string text(const std::vector<std::string>& scripts) const;

 private:
  std::string title_, body_;
  std::vector<std::string> charts_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_REPORT_PAGE_H_
