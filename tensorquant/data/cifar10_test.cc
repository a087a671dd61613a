#include "tensorquant/data/cifar10.h"

#include <gmock/gmock.h>

#include <numeric>

#include "tensorquant/base/test_files.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;

constexpr std::size_t kRecord = 3073;

TEST(Cifar10Test, ReadsLabelsAndPixels) {
  const ImageDataset data = load_cifar10_dataset(golden_folder() / "cifar10_2.bin");
  EXPECT_EQ(data.count, 2u);
  EXPECT_EQ(data.channels, 3u);
  EXPECT_EQ(data.height, 32u);
  EXPECT_EQ(data.width, 32u);
  EXPECT_EQ(data.classes, 10);
  EXPECT_THAT(data.labels, ElementsAre(3, 9));
  ASSERT_EQ(data.pixels.size(), 2 * (kRecord - 1));
  for (std::size_t i = 0; i < data.pixels.size(); ++i) {
    const std::size_t place = i + 1 + i / (kRecord - 1);  // in the file
    ASSERT_EQ(data.pixels[i], place * 7 % 251) << i;
  }
}

TEST(Cifar10Test, OnlyWholeRecordsAreRead) {
  const Bytes file = golden("cifar10_2.bin");
  for (std::size_t size = 0; size < file.size(); ++size) {
    const Bytes shorter = cut(file, size);
    if (size == kRecord) {
      EXPECT_EQ(parse_cifar10(shorter, "file").count, 1u);
    } else {
      EXPECT_THROW(parse_cifar10(shorter, "file"), Error) << size;
    }
  }
  EXPECT_EQ(error_of([&] { parse_cifar10(cut(file, 4000), "file"); }),
            "file: expected CIFAR-10 records of 3073 bytes, found 1 of them and 927 bytes more");
}

TEST(Cifar10Test, ALabelAboveNineIsNamedByItsRecord) {
  Bytes file = golden("cifar10_2.bin");
  file[kRecord] = std::byte{10};
  EXPECT_EQ(error_of([&] { parse_cifar10(file, "file"); }),
            "file: record 1 (byte 3073): label 10, expected 0 to 9");
}

TEST(Cifar10Test, TheFirstThousandTestImagesAreTheKnownOnes) {
  const std::filesystem::path path = large_folder() / "cifar10" / "cifar10_test_first1000.bin";
  SKIP_IF_MISSING(path);
  const ImageDataset data = load_cifar10_dataset(path);
  EXPECT_EQ(data.count, 1000u);
  EXPECT_THAT(std::vector(data.labels.begin(), data.labels.begin() + 10),
              ElementsAre(3, 8, 8, 0, 6, 6, 1, 6, 3, 1));
  EXPECT_THAT(std::vector(data.pixels.begin(), data.pixels.begin() + 4),
              ElementsAre(158, 159, 165, 166));
  EXPECT_EQ(std::accumulate(data.pixels.begin(), data.pixels.end(), std::uint64_t{0}), 374560331u);
}

}  // namespace
}  // namespace tensorquant
