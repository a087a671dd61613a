#include "tensorquant/base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

using namespace std::string_view_literals;
using testing::ThrowsMessage;

TEST(Text, BeginsBehindAByteOrderMark) {
  EXPECT_EQ(without_byte_order_mark("\xEF\xBB\xBF{}", "f"), "{}");
  EXPECT_EQ(without_byte_order_mark("{}", "f"), "{}");
  EXPECT_EQ(without_byte_order_mark("\xEF\xBB", "f"), "\xEF\xBB");
  EXPECT_EQ(without_byte_order_mark("", "f"), "");
}

TEST(Text, InUtf16OrUtf32IsRefusedByName) {
  const auto expect_refused = [](std::string_view text, const std::string& encoding) {
    EXPECT_THAT([&] { without_byte_order_mark(text, "maps.json"); },
                ThrowsMessage<Error>("maps.json: the text is " + encoding + ", expected UTF-8"));
  };
  expect_refused("\xFF\xFE{\0}\0"sv, "UTF-16");
  expect_refused("\xFE\xFF\0{\0}"sv, "UTF-16");
  expect_refused("\xFF\xFE\0\0{\0\0\0"sv, "UTF-32");
  expect_refused("\0\0\xFE\xFF\0\0\0{"sv, "UTF-32");
}

TEST(OneLine, ShowsWhatIsNoCharacterOnTheLineAsBytes) {
  EXPECT_EQ(one_line("a\nb\tc\x1b[2J\x7f"), R"(a\x0ab\x09c\x1b[2J\x7f)");
  EXPECT_EQ(one_line("\u0085|\u2028|\u202E|\uFEFF"),
            R"(\xc2\x85|\xe2\x80\xa8|\xe2\x80\xae|\xef\xbb\xbf)");
  EXPECT_EQ(one_line("größe 層 e\u0301 \U0001F600"), "größe 層 e\u0301 \U0001F600");
}

// Sequences of the Unicode Standard's table 3-7 and beside it.
TEST(OneLine, ShowsBytesThatAreNotUtf8AsBytes) {
  EXPECT_EQ(one_line("a\xff\xfe"), R"(a\xff\xfe)");
  EXPECT_EQ(one_line("\xc3"), R"(\xc3)");            // cut short
  EXPECT_EQ(one_line("\xe5\xb1z"), R"(\xe5\xb1z)");  // cut short by another character
  EXPECT_EQ(one_line("\xc0\x80 \xe0\x80\x80"),
            R"(\xc0\x80 \xe0\x80\x80)");                           // too long for their code
  EXPECT_EQ(one_line("\xed\xa0\x80"), R"(\xed\xa0\x80)");          // a surrogate
  EXPECT_EQ(one_line("\xf4\x90\x80\x80"), R"(\xf4\x90\x80\x80)");  // above U+10FFFF
  EXPECT_EQ(one_line("\xf4\x8f\xbf\xbf"), "\xf4\x8f\xbf\xbf");     // U+10FFFF
}

TEST(Shortened, KeepsWholeCharactersAndSaysThatSomethingIsLeftOut) {
  EXPECT_EQ(shortened("abc", 3), "abc");
  EXPECT_EQ(shortened("äöüß", 3), "äöü...");
  EXPECT_EQ(shortened("\n\n", 4), R"(\x0a...)");
}

// As Python's unicodedata.east_asian_width() and combining() tell.
TEST(DisplayWidth, CountsColumnsOfATerminal) {
  EXPECT_EQ(display_width(""), 0u);
  EXPECT_EQ(display_width("conv1"), 5u);
  EXPECT_EQ(display_width("größe"), 5u);
  EXPECT_EQ(display_width("e\u0301"), 1u);
  EXPECT_EQ(display_width("畳み込み"), 8u);
  EXPECT_EQ(display_width("합성곱"), 6u);
  EXPECT_EQ(display_width("ＡＢ"), 4u);
  EXPECT_EQ(display_width("\U0001F600"), 2u);
  EXPECT_EQ(display_width("свёртка"), 7u);
}

}  // namespace
}  // namespace tensorquant
