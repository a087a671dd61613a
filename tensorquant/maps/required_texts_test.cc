#include "tensorquant/maps/required_texts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <regex>

#include "tensorquant/maps/layer_pattern.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::vector<std::string>> texts(std::string_view expression) {
  return RequiredTexts(expression).alternatives();
}

TEST(RequiredTexts, AreTheLiteralsOfSequencesWithoutAlternatives) {
  EXPECT_THAT(texts(R"(block3\..*(a|b)\.conv[0-9])"), ElementsAre(ElementsAre("block3.", ".conv")));
  EXPECT_THAT(texts(R"(conv1|fc\d)"), ElementsAre(ElementsAre("conv1"), ElementsAre("fc")));
  EXPECT_THAT(texts(R"((?!fc).*\d\bend)"), ElementsAre(ElementsAre("end")));
  EXPECT_THAT(texts(R"(a(?:b[0-9](c)+)\.(x|y)(17))"),
              ElementsAre(ElementsAre("a", "b", "c", ".", "17")));
  EXPECT_THAT(texts("[(]a[)|]b"), ElementsAre(ElementsAre("a", "b")));
  EXPECT_THAT(texts(R"((a[)]|\))b)"), ElementsAre(ElementsAre("b")));
}

TEST(RequiredTexts, LeaveOutWhatNeedNotStandInTheName) {
  EXPECT_THAT(texts("ab?c*d+e{0,2}f*?g"), ElementsAre(ElementsAre("a", "g")));
  EXPECT_THAT(texts("x(ab)?y"), ElementsAre(ElementsAre("x", "y")));
  for (const char* expression : {R"(a\x41b)", "a[[:digit:]]b", "a[]b]c", ".*", ""}) {
    EXPECT_THAT(texts(expression), ElementsAre(IsEmpty())) << expression;
  }
  EXPECT_THAT(texts("a|"), ElementsAre(ElementsAre("a"), IsEmpty()));
}

TEST(RequiredTexts, StandInOrderWithoutOverlap) {
  EXPECT_TRUE(RequiredTexts("ab.*ab").may_match("abcab"));
  EXPECT_FALSE(RequiredTexts("ab.*ba").may_match("aba"));
  EXPECT_FALSE(RequiredTexts("a.*b").may_match("ba"));
  EXPECT_TRUE(RequiredTexts("x|ba").may_match("ba"));
  EXPECT_TRUE(RequiredTexts("").may_match(""));
}

// An expression of the grammar's pieces, over an alphabet of two letters so that many names match.
std::string random_expression(std::mt19937& random, int depth) {
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  constexpr const char* kAtoms[] = {"a",     "b",     R"(\.)", ".",      "[ab]",    "[^a]",
                                    "[)|a]", R"(\w)", R"(\b)", "[a\\]]", R"(\x61)", "[[:alpha:]]"};
  constexpr const char* kCounts[] = {"", "", "", "*", "+", "?", "{0,2}", "{2}", "*?", "{1}"};
  std::string expression;
  for (int i = below(4); i >= 0; --i) {
    if (depth > 0 && below(4) == 0) {
      const std::string inner = random_expression(random, depth - 1);
      // One draw after the other, the same with each compiler: some expressions take std::regex for
      // ever.
      const std::string count = kCounts[below(7)];
      expression += (below(2) == 0 ? "(" : "(?:") + inner + ")" + count;
    } else {
      const std::string atom = kAtoms[below(12)];
      expression += atom + (atom == R"(\b)" ? "" : kCounts[below(10)]);
    }
    if (below(8) == 0) expression += "|";
  }
  return expression;
}

TEST(RequiredTexts, RefuseNoNameThatTheExpressionMatches) {
  std::mt19937 random(1);
  int hits = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string expression = random_expression(random, 2);
    const std::regex plain(expression);
    const LayerPattern pattern("re:" + expression);
    for (int j = 0; j < 30; ++j) {
      std::string name;
      for (auto length = random() % 8; length > 0; --length) name += "ab.)]"[random() % 5];
      const bool expected = std::regex_match(name, plain);
      EXPECT_EQ(pattern.hits(name), expected) << expression << " on " << name;
      hits += expected ? 1 : 0;
    }
  }
  EXPECT_GT(hits, 2000);
}

}  // namespace
}  // namespace tensorquant
