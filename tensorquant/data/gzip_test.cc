#include "tensorquant/data/gzip.h"

#include <gmock/gmock.h>

#include "tensorquant/base/test_files.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;

constexpr std::size_t kPlainSize = 76;
constexpr std::size_t kNoLimit = static_cast<std::size_t>(-1);

Bytes plain() { return golden("idx_plain/t10k-images-idx3-ubyte"); }
Bytes packed() { return golden("idx_gz/t10k-images-idx3-ubyte.gz"); }
Bytes unpacked(const Bytes& file, std::size_t limit = kNoLimit) {
  return gunzip(file, limit, "file.gz");
}

TEST(GzipTest, IsKnownByItsFirstTwoBytes) {
  EXPECT_TRUE(is_gzip(packed()));
  EXPECT_FALSE(is_gzip(plain()));
  EXPECT_FALSE(is_gzip(cut(packed(), 1)));
  EXPECT_FALSE(is_gzip({}));
}

TEST(GzipTest, GivesWhatWasPacked) { EXPECT_EQ(unpacked(packed()), plain()); }

TEST(GzipTest, MembersFollowEachOther) {
  EXPECT_EQ(unpacked(golden("idx_gz/two_members.gz")), plain());
}

TEST(GzipTest, StopsAtTheLimit) {
  for (std::size_t limit = 0; limit < kPlainSize + 2; ++limit) {
    EXPECT_EQ(unpacked(packed(), limit), cut(plain(), std::min(limit, kPlainSize))) << limit;
  }
}

TEST(GzipTest, EveryCutIsAnError) {
  const auto parse = [](const Bytes& file) { unpacked(file); };
  expect_error_at_every_shorter_size(packed(), parse);
}

TEST(GzipTest, AWrongCheckSumIsAnError) {
  for (std::size_t from_end = 1; from_end <= 8; ++from_end) {
    Bytes file = packed();
    file[file.size() - from_end] ^= std::byte{1};
    EXPECT_THAT(error_of([&] { unpacked(file); }), HasSubstr("incorrect")) << from_end;
  }
}

TEST(GzipTest, BytesAfterTheEndAreAnError) {
  Bytes file = packed();
  file.push_back(std::byte{0});
  EXPECT_EQ(error_of([&] { unpacked(file); }),
            "file.gz: gzip data at byte 95: expected the end of the file, found 1 bytes more");
}

TEST(GzipTest, NoChangedByteDoesHarm) {
  expect_no_harm_from_any_changed_byte(packed(), packed().size(),
                                       [](const Bytes& file) { unpacked(file, 1 << 20); });
}

}  // namespace
}  // namespace tensorquant
