#include "tensorquant/base/error.h"

#include <gtest/gtest.h>

namespace tensorquant {
namespace {

TEST(Error, IsOneLineWhateverItQuotes) {
  EXPECT_STREQ(Error("key 'a\nb\r\t\x7f': bad").what(), R"(key 'a\x0ab\x0d\x09\x7f': bad)");
  EXPECT_STREQ(Error(std::string_view("\0", 1)).what(), R"(\x00)");
}

TEST(Error, LeavesOtherCharactersAsTheyAre) {
  EXPECT_STREQ(Error("größer \\x0a").what(), "größer \\x0a");
}

}  // namespace
}  // namespace tensorquant
