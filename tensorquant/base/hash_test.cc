#include "tensorquant/base/hash.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <string_view>
#include <vector>

namespace tensorquant {
namespace {

using namespace std::string_view_literals;

TEST(Fnv1a, IsTheHashThatItsAuthorsPublish) {
  EXPECT_EQ(Fnv1a().text(), "cbf29ce484222325");
  EXPECT_EQ(Fnv1a().add("a"sv).text(), "af63dc4c8601ec8c");
  EXPECT_EQ(Fnv1a().add("foo"sv).add("bar"sv).value(), 0x85944171f73967e8U);
  EXPECT_EQ(Fnv1a().add(std::vector{std::byte{0}}).value(), 0xaf63bd4c8601b7dfU);
  EXPECT_EQ(Fnv1a().add("\xff"sv).text(), Fnv1a().add(std::vector<unsigned char>{255}).text());
}

}  // namespace
}  // namespace tensorquant
