#include "tensorquant/report/page.h"

#include "tensorquant/base/error.h"
#include "tensorquant/report/html.h"

namespace tensorquant {
namespace {

// No request leaves the page, whatever is in it.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:";

constexpr std::string_view kStyle = R"text(
:root { --ink: #1f2933; --soft: #667380; --line: #e1e5ea; --blue: #2166ac; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f8; color: var(--ink); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
header { background: #16324f; color: white; padding: 28px 0 24px; }
header h1 { margin: 0; font-size: 26px; font-weight: 600; }
header p { margin: 6px 0 0; color: #c8d6e5; }
.page { max-width: 1180px; margin: 0 auto; padding: 0 24px; }
section { background: white; border: 1px solid var(--line); border-radius: 8px; margin: 22px 0; padding: 18px 22px 20px; }
h2 { margin: 0 0 8px; font-size: 19px; font-weight: 600; }
section p { margin: 6px 0 12px; color: var(--soft); max-width: 95ch; }
.missing { border-left: 3px solid #e0b040; background: #fdf8ea; padding: 8px 12px; color: #6b5a1e; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 14px 0; }
.tile { border: 1px solid var(--line); border-radius: 6px; padding: 10px 16px; min-width: 150px; }
.tile b { display: block; font-size: 22px; font-weight: 600; }
.tile span { color: var(--soft); font-size: 13px; }
.tiles .scroll { margin-right: 40px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; margin: 8px 0; }
th { text-align: left; font-weight: 600; border-bottom: 2px solid var(--line); padding: 5px 9px 5px 6px; cursor: pointer; white-space: nowrap; }
th[data-order]::after { content: " \25B4"; }
th[data-order="down"]::after { content: " \25BE"; }
td { border-bottom: 1px solid #eef1f4; padding: 4px 9px 4px 6px; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.marked { background: #fde3d8; font-weight: 600; }
tbody tr:hover { background: #f6f9fc; }
code { font: 12.5px ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
details { max-width: 70ch; }
summary { color: var(--blue); cursor: pointer; }
.chart { overflow-x: auto; padding: 6px 0; }
footer { color: var(--soft); font-size: 13px; padding: 4px 0 30px; }
)text";

// Sorts tables, and has Vega-Embed draw. With `ast` Vega interprets expressions: it compiles none.
constexpr std::string_view kScript = R"text(
for (const heading of document.querySelectorAll("th")) {
  heading.addEventListener("click", () => {
    const order = heading.dataset.order === "up" ? "down" : "up";
    for (const other of heading.parentNode.children) delete other.dataset.order;
    heading.dataset.order = order;
    const column = heading.cellIndex, sign = order === "up" ? 1 : -1;
    const key = row => {
      const cell = row.cells[column];
      return cell.classList.contains("number") ? parseFloat(cell.dataset.value ?? "NaN") : cell.textContent;
    };
    const compare = (a, b) => typeof a === "string" ? a.localeCompare(b)
      : Number.isNaN(a) ? sign * (Number.isNaN(b) ? 0 : 1) : Number.isNaN(b) ? -sign : a - b;
    const body = heading.closest("table").tBodies[0];
    body.append(...[...body.rows].sort((a, b) => sign * compare(key(a), key(b))));
  });
}
const charts = JSON.parse(document.getElementById("charts").textContent);
if (typeof vegaEmbed === "function") {
  Promise.all(charts.map((chart, i) =>
    vegaEmbed(document.getElementById("chart" + i), chart, {actions: false, ast: true, renderer: "svg"})))
    .then(() => { document.documentElement.dataset.charts = "drawn"; });
}
)text";

std::string element(const char* name, std::string_view text) {
  return "<" + std::string(name) + ">" + escaped(text) + "</" + name + ">\n";
}

}  // namespace

void Page::section(std::string_view heading) {
  if (!body_.empty()) body_ += "</section>\n";
  body_ += "<section>\n" + element("h2", heading);
}

void Page::paragraph(std::string_view text) { body_ += element("p", text); }

void Page::missing(std::string_view text) {
  body_ += "<p class=\"missing\">" + escaped(text) + "</p>\n";
}

void Page::html(std::string_view html) { body_ += html; }

void Page::chart(std::string specification) {
  body_ += "<div class=\"chart\" id=\"chart" + std::to_string(charts_.size()) + "\"></div>\n";
  charts_.push_back(std::move(specification));
}

std::string Page::text(const std::vector<std::string>& scripts) const {
  std::string text = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  text +=
      "<meta http-equiv=\"Content-Security-Policy\" content=\"" + std::string(kPolicy) + "\">\n";
  text += "<link rel=\"icon\" href=\"data:,\">\n";
  text += element("title", title_);
  text += "<style>" + std::string(kStyle) + "</style>\n</head>\n<body>\n";
  text += "<header><div class=\"page\">" + element("h1", title_);
  text += element("p", "Which formats a network needs, what they lose and what they cost") +
          "</div></header>\n";
  text += "<main class=\"page\">\n";
  if (scripts.empty() && !charts_.empty()) {
    text +=
        "<p class=\"missing\">This report was written without the libraries that draw charts: it "
        "has tables alone.</p>\n";
  }
  text += body_ + (body_.empty() ? "" : "</section>\n");
  text +=
      "</main>\n<footer class=\"page\">Written by tensorquant report. Nothing in this file is "
      "loaded from elsewhere.</footer>\n";
  std::string charts;
  for (const std::string& chart : charts_) charts += (charts.empty() ? "" : ",\n") + chart;
  text += "<script type=\"application/json\" id=\"charts\">" + json_in_script("[" + charts + "]") +
          "</script>\n";
  for (const std::string& script : scripts) {
    if (script.find("</script") != std::string::npos || script.find("<!--") != std::string::npos) {
      throw Error("a library that draws charts holds text that would end its element");
    }
    text += "<script>" + script + "</script>\n";
  }
  return text + "<script>" + std::string(kScript) + "</script>\n</body>\n</html>\n";
}

}  // namespace tensorquant
