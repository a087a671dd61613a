#include "tensorquant/report/html.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>

namespace tensorquant {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(Html, TextIsShownAndNeverRead) {
  EXPECT_EQ(escaped("</script><b onclick=\"x('y')\">"),
            "&lt;/script&gt;&lt;b onclick=&quot;x(&#39;y&#39;)&quot;&gt;");
  EXPECT_EQ(escaped("&lt;"), "&amp;lt;");  // what is escaped already is text, too
  EXPECT_EQ(escaped("überall {{1+1}}"), "überall {{1+1}}");
}

TEST(Html, JsonEndsNoScript) {
  EXPECT_EQ(json_in_script(R"(["</script>", "<!--"])"), R"(["\u003c/script>", "\u003c!--"])");
}

TEST(Html, NumbersHaveThreeDigitsAndAPrefix) {
  EXPECT_EQ(with_prefix(0.0), "0");
  EXPECT_EQ(with_prefix(999.4), "999");
  EXPECT_EQ(with_prefix(999.5), "1 k");  // not "1e+03"
  EXPECT_EQ(with_prefix(1234567.0), "1.23 M");
  EXPECT_EQ(with_prefix(-40.55e6), "-40.5 M");
  EXPECT_EQ(with_prefix(9.996e17), "1e+03 P");  // the largest prefix takes all that is beyond it
  EXPECT_EQ(with_prefix(std::nullopt), "");
}

TEST(Html, ShortNumbersAndSharesAreForPeople) {
  EXPECT_EQ(short_number(0.012345), "0.0123");
  EXPECT_EQ(short_number(1.2e-6), "1.2e-06");
  EXPECT_EQ(short_number(kInfinity), "∞");
  EXPECT_EQ(short_number(std::nan("")), "NaN");
  EXPECT_EQ(short_number(std::nullopt), "");
  EXPECT_EQ(percent(0.12345), "12.3 %");
  EXPECT_EQ(percent(0.12345, 0), "12 %");
  EXPECT_EQ(percent(0.12345, 2), "12.35 %");
  EXPECT_EQ(percent(std::nullopt), "");
}

TEST(Html, ATableSortsNumbersByTheirValues) {
  HtmlTable table("t\"1", {"<name>", "BOPs"});
  EXPECT_TRUE(table.empty());
  HtmlCell marked("1.5 k", 1500.0);
  marked.is_marked = true;
  table.add({"a<b>", marked});
  HtmlCell none("", std::nullopt);
  none.details = "{\"=<i>\": 1}";
  table.add({"c", none});
  table.add({"d", HtmlCell("∞", kInfinity)});
  EXPECT_EQ(
      table.html(),
      "<div class=\"scroll\"><table id=\"t&quot;1\"><thead><tr><th>&lt;name&gt;</th>"
      "<th class=\"number\">BOPs</th></tr></thead><tbody>\n"
      "<tr><td>a&lt;b&gt;</td><td class=\"number marked\" data-value=\"1500\">1.5 k</td></tr>\n"
      "<tr><td>c</td><td class=\"number\"><details><summary>show</summary><code>"
      "{&quot;=&lt;i&gt;&quot;: 1}</code></details></td></tr>\n"
      "<tr><td>d</td><td class=\"number\" data-value=\"Infinity\">∞</td></tr>\n"
      "</tbody></table></div>\n");
}

}  // namespace
}  // namespace tensorquant
