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

TEST(RequiredTexts, AreTheLiteralsOfTheOutermostSequence) {
  EXPECT_THAT(required_texts(R"(block3\..*(a|b)\.conv[0-9])"), ElementsAre("block3.", ".conv"));
  EXPECT_THAT(required_texts("fc"), ElementsAre("fc"));
  EXPECT_THAT(required_texts(R"((?!fc).*\d\bend)"), ElementsAre("end"));
  EXPECT_THAT(required_texts("[(]a[)|]b"), ElementsAre("a", "b"));
  EXPECT_THAT(required_texts(R"((a[)]|\))b)"), ElementsAre("b"));
}

TEST(RequiredTexts, LeaveOutWhatNeedNotStandInTheName) {
  EXPECT_THAT(required_texts("ab?c*d+e{0,2}f*?g"), ElementsAre("a", "g"));
  EXPECT_THAT(required_texts("x(ab)?y"), ElementsAre("x", "y"));
  EXPECT_THAT(required_texts("fc1|fc2"), IsEmpty());
  EXPECT_THAT(required_texts(R"(a\x41b)"), IsEmpty());
  EXPECT_THAT(required_texts("a[[:digit:]]b"), IsEmpty());
  EXPECT_THAT(required_texts(".*"), IsEmpty());
  EXPECT_THAT(required_texts(""), IsEmpty());
}

TEST(RequiredTexts, StandInOrderWithoutOverlap) {
  EXPECT_TRUE(holds_in_order("abcab", {"ab", "ab"}));
  EXPECT_FALSE(holds_in_order("aba", {"ab", "ba"}));
  EXPECT_FALSE(holds_in_order("ba", {"a", "b"}));
  EXPECT_TRUE(holds_in_order("", {}));
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
      expression += (below(2) == 0 ? "(" : "(?:") + inner + ")" + kCounts[below(7)];
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
    const std::string expression = random_expression(random, 1);
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
