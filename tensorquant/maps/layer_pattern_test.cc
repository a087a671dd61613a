#include "tensorquant/maps/layer_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using testing::ThrowsMessage;

TEST(LayerPattern, APlainKeyHitsEveryNameThatContainsIt) {
  const LayerPattern pattern("conv");
  EXPECT_TRUE(pattern.hits("conv"));
  EXPECT_TRUE(pattern.hits("conv1"));
  EXPECT_TRUE(pattern.hits("features.0.conv2"));
  EXPECT_FALSE(pattern.hits("Conv1"));
  EXPECT_FALSE(pattern.hits("con"));
  EXPECT_FALSE(pattern.hits(""));
}

TEST(LayerPattern, SpecialCharactersOfAPlainKeyStandForThemselves) {
  EXPECT_TRUE(LayerPattern("layer1.0").hits("layer1.0.conv1"));
  EXPECT_FALSE(LayerPattern("layer1.0").hits("layer1x0"));
  EXPECT_FALSE(LayerPattern(".*").hits("conv"));
  EXPECT_TRUE(LayerPattern("a=b").hits("a=b"));
}

TEST(LayerPattern, AnEqualsSignMeansTheExactName) {
  const LayerPattern pattern("=fc1");
  EXPECT_TRUE(pattern.hits("fc1"));
  EXPECT_FALSE(pattern.hits("fc10"));
  EXPECT_FALSE(pattern.hits("head.fc1"));
  EXPECT_FALSE(pattern.hits("=fc1"));
  EXPECT_TRUE(LayerPattern("=").hits(""));
  EXPECT_FALSE(LayerPattern("=").hits("fc1"));
}

TEST(LayerPattern, ARegularExpressionMustMatchTheWholeName) {
  const LayerPattern pattern(R"(re:layer[12]\.\d+\.conv1)");
  EXPECT_TRUE(pattern.hits("layer1.0.conv1"));
  EXPECT_TRUE(pattern.hits("layer2.12.conv1"));
  EXPECT_FALSE(pattern.hits("layer3.0.conv1"));
  EXPECT_FALSE(pattern.hits("layer1.0.conv10"));
  EXPECT_FALSE(pattern.hits("net.layer1.0.conv1"));
  EXPECT_TRUE(LayerPattern("re:fc1|fc2").hits("fc2"));
  EXPECT_FALSE(LayerPattern("re:fc1|fc2").hits("fc2.x"));
}

TEST(LayerPattern, OpHitsEveryLayerOfExactlyThatType) {
  const LayerPattern pattern("op:Conv2d");
  EXPECT_TRUE(pattern.hits({"a.b", "Conv2d"}));
  EXPECT_FALSE(pattern.hits({"a.b", "LazyConv2d"}));
  EXPECT_FALSE(pattern.hits({"a.b", "Conv2"}));
  EXPECT_FALSE(pattern.hits({"Conv2d", "Linear"}));
  EXPECT_FALSE(pattern.hits({"op:Conv2d", ""}));
  EXPECT_TRUE(LayerPattern("=op:Conv2d").hits({"op:Conv2d", ""}));
  EXPECT_THAT([] { LayerPattern("op:"); },
              ThrowsMessage<Error>(HasSubstr("the key 'op:' names no type")));
}

TEST(LayerPattern, WhatOnlyMovesNumbersIsHitByItsNameOrTypeAlone) {
  const NamedLayer split = {"head.Split", "Split", NamedLayer::Kind::mover};
  EXPECT_TRUE(LayerPattern("=head.Split").hits(split));
  EXPECT_TRUE(LayerPattern("op:Split").hits(split));
  for (const char* key : {"", "head", "head.Split", "re:head.*", "=Split", "op:Slice"}) {
    EXPECT_FALSE(LayerPattern(key).hits(split)) << key;
  }
}

TEST(LayerPattern, AnInputIsHitByWhatHitsInputAndByItsOwnName) {
  const NamedLayer image = {"input:image", "", NamedLayer::Kind::input};
  for (const char* key : {"", "input", "=input", "re:input", "in", "input:image", "=input:image",
                          "input:im", "re:input:(image|mask)"}) {
    EXPECT_TRUE(LayerPattern(key).hits(image)) << key;
  }
  // A layer's key must not take an input of a like name.
  for (const char* key : {"image", "=image", "input:mask", "re:.*image", "op:input", "put:"}) {
    EXPECT_FALSE(LayerPattern(key).hits(image)) << key;
  }
}

TEST(LayerPattern, TheEmptyKeyHitsEveryName) {
  EXPECT_TRUE(LayerPattern("").hits("conv1"));
  EXPECT_TRUE(LayerPattern("").hits(""));
}

TEST(LayerPattern, SeesARegularExpressionThatMatchesOnlyAPart) {
  EXPECT_TRUE(LayerPattern("re:conv[0-9]").matches_only_a_part_of("features.conv1"));
  EXPECT_FALSE(LayerPattern("re:conv[0-9]").matches_only_a_part_of("conv1"));
  EXPECT_FALSE(LayerPattern("re:conv[0-9]").matches_only_a_part_of("fc1"));
  EXPECT_FALSE(LayerPattern("conv").matches_only_a_part_of("features.conv1"));
}

TEST(LayerPattern, CopiesAreIndependentOfTheOriginal) {
  auto* original = new LayerPattern("re:conv.");
  const LayerPattern copy = *original;
  delete original;
  EXPECT_TRUE(copy.hits("conv1"));
  EXPECT_EQ(copy.key(), "re:conv.");
  EXPECT_EQ(copy.text(), "conv.");
}

TEST(LayerPattern, AnInvalidRegularExpressionIsAnErrorThatShowsIt) {
  for (const char* key : {"re:layer[", "re:(", "re:)", "re:*", "re:a{2", "re:\\", "re:[b-a]"}) {
    EXPECT_THAT([&] { LayerPattern{key}; },
                ThrowsMessage<Error>(StartsWith("invalid regular expression '" +
                                                std::string(key).substr(3) + "': ")));
  }
}

TEST(LayerPattern, LengthsThatCouldOverflowTheStackAreErrors) {
  EXPECT_THAT([] { LayerPattern("re:" + std::string(1025, '(')); },
              ThrowsMessage<Error>(HasSubstr("too long (1024 at most)")));
  const LayerPattern pattern("re:((((a*)+)*)+)*");
  EXPECT_TRUE(pattern.hits(std::string(1024, 'a')));
  EXPECT_THAT([&] { pattern.hits(std::string(100'000, 'a')); },
              ThrowsMessage<Error>("a layer name of 100000 characters is too long for a regular "
                                   "expression (1024 at most)"));
  EXPECT_TRUE(LayerPattern("aa").hits(std::string(100'000, 'a')));
}

TEST(LayerPattern, TooManyRepetitionsAreAnError) {
  for (const char* key : {"re:(|a){15000}", "re:(((a{60}){60}){60})", "re:a{0,90000}",
                          "re:a{99999999999999999999}", "re:a{2,}b{9,99999}"}) {
    EXPECT_THAT([&] { LayerPattern{key}; },
                ThrowsMessage<Error>(HasSubstr("too many repetitions")));
  }
  EXPECT_TRUE(LayerPattern("re:(a?a?){500}").hits(std::string(1000, 'a')));
  EXPECT_TRUE(LayerPattern(R"(re:block[0-9]{1,3}\{9999\})").hits("block12{9999}"));
}

// Backtracking would try 2^1000 ways.
TEST(LayerPattern, AnAmbiguousExpressionDoesNotHang) {
  const std::string name(1000, 'a');
  EXPECT_FALSE(LayerPattern("re:(a|a)*b").hits(name));
  EXPECT_FALSE(LayerPattern("re:(a|a)*b").matches_only_a_part_of(name));
  EXPECT_TRUE(LayerPattern("re:(a|a)*b").hits(name + "b"));
  EXPECT_TRUE(LayerPattern("re:(a|a)*b").matches_only_a_part_of(name + "bc"));
}

TEST(LayerPattern, WhatWouldNeedBacktrackingIsAnError) {
  EXPECT_THAT([] { LayerPattern("re:(fc|(?!x)).*"); },
              ThrowsMessage<Error>("invalid regular expression '(fc|(?!x)).*': lookahead is "
                                   "supported at the beginning alone"));
  EXPECT_THROW(LayerPattern("re:(?=.*(?=.*b))a*"), Error);
  EXPECT_THAT([] { LayerPattern(R"(re:(a|b)\1)"); },
              ThrowsMessage<Error>(HasSubstr("back references are not supported")));
  EXPECT_THROW(LayerPattern("re:\\" + std::string(50, '5')), Error);
  EXPECT_TRUE(LayerPattern(R"(re:a\(?=(?:b))").hits("a(=b"));
}

TEST(LayerPattern, LooksAheadAtTheBeginning) {
  const LayerPattern pattern("re:(?!fc).*[0-9]");
  EXPECT_TRUE(pattern.hits("conv1"));
  EXPECT_FALSE(pattern.hits("fc1"));
  EXPECT_TRUE(LayerPattern("re:(?=.*1)conv.*").hits("conv1"));
  EXPECT_FALSE(LayerPattern("re:(?=(a*)*b)a*").hits(std::string(1024, 'a')));
}

}  // namespace
}  // namespace tensorquant
