#include "tensorquant/data/idx.h"

#include <gmock/gmock.h>

#include <fstream>
#include <initializer_list>
#include <numeric>

#include "tensorquant/base/test_files.h"

namespace tensorquant {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

IdxArray parsed(const Bytes& file) { return parse_idx(file, "file"); }

Bytes file_of(std::initializer_list<unsigned> values) {
  Bytes bytes;
  for (unsigned value : values) {
    bytes.push_back(std::byte(value));
  }
  return bytes;
}

std::vector<std::uint8_t> multiples_of_four(std::size_t count) {
  std::vector<std::uint8_t> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<std::uint8_t>(4 * i);
  }
  return values;
}

TEST(IdxTest, ReadsShapeAndValues) {
  const IdxArray images = parsed(golden("idx_plain/t10k-images-idx3-ubyte"));
  EXPECT_THAT(images.shape, ElementsAre(3, 4, 5));
  EXPECT_EQ(images.values, multiples_of_four(60));
}

TEST(IdxTest, CompressionIsKnownByContentNotByName) {
  const IdxArray images = read_idx(golden_folder() / "idx_gz/t10k-images-idx3-ubyte.gz");
  EXPECT_EQ(images.values, multiples_of_four(60));
  EXPECT_EQ(read_idx(golden_folder() / "idx_gz/two_members.gz").values, multiples_of_four(60));
  EXPECT_THAT(read_idx(golden_folder() / "idx_gz/t10k-labels-idx1-ubyte.gz").values,
              ElementsAre(7, 0, 9));
}

TEST(IdxTest, EveryCutIsAnError) {
  for (const char* name : {"idx_plain/t10k-images-idx3-ubyte", "idx_plain/t10k-labels-idx1-ubyte",
                           "idx_gz/t10k-images-idx3-ubyte.gz", "idx_gz/two_members.gz"}) {
    expect_error_at_every_shorter_size(golden(name), parsed);
  }
}

TEST(IdxTest, NoChangedByteDoesHarm) {
  for (const char* name : {"idx_plain/t10k-images-idx3-ubyte", "idx_gz/t10k-images-idx3-ubyte.gz",
                           "idx_gz/two_members.gz"}) {
    const Bytes file = golden(name);
    expect_no_harm_from_any_changed_byte(file, file.size(), [](const Bytes& changed) {
      const IdxArray array = parsed(changed);
      EXPECT_EQ(element_count(array.shape), array.values.size());
    });
  }
}

TEST(IdxTest, HugeDimensionsAreAnErrorWithoutHugeMemory) {
  EXPECT_EQ(error_of([] {
              parsed(file_of({0, 0, 8, 1, 255, 255, 255, 255, 1, 2}));
            }),
            "file: dimensions (4294967295,): expected 4294967295 values after byte 8, found 2");
  EXPECT_THAT(error_of([] {
                parsed(file_of({0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255}));
              }),
              HasSubstr("expected 18446744065119617025 values"));
  EXPECT_EQ(error_of([] {
              parsed(file_of({0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 2}));
            }),
            "file: dimensions (4294967295, 4294967295, 2): their product overflows");
}

TEST(IdxTest, MoreValuesThanDeclaredAreAnError) {
  EXPECT_EQ(error_of([] {
              parsed(file_of({0, 0, 8, 1, 0, 0, 0, 2, 1, 2, 3}));
            }),
            "file: dimensions (2,): expected 2 values after byte 8, found more");
}

TEST(IdxTest, OtherTypesAndOtherFilesAreErrors) {
  EXPECT_EQ(error_of([] { parsed(golden("idx_gz/float32.gz")); }),
            "file: byte 2: expected values of uint8, found float32");
  EXPECT_EQ(error_of([] {
              parsed(file_of({0, 0, 7, 1, 0, 0, 0, 0}));
            }),
            "file: byte 2: expected values of uint8, found unknown type 7");
  EXPECT_EQ(error_of([] { parsed(bytes_of("PNG?")); }),
            "file: is not an IDX file: expected two zero bytes at its beginning");
  EXPECT_EQ(error_of([] { parsed({}); }), "file: expected an IDX header, the file ends at byte 0");
}

TEST(IdxTest, AFileWithoutDimensionsHoldsOneValue) {
  const IdxArray array = parsed(file_of({0, 0, 8, 0, 42}));
  EXPECT_TRUE(array.shape.empty());
  EXPECT_THAT(array.values, ElementsAre(42));
}

class IdxDatasetTest : public FileTest {
 protected:
  void write(const std::string& name, const Bytes& bytes) {
    std::ofstream(folder / name, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  std::string error() {
    return error_of([this] { load_idx_dataset(folder, Split::test); });
  }
};

TEST_F(IdxDatasetTest, PairsImagesWithLabels) {
  for (const char* name : {"idx_plain", "idx_gz"}) {
    const ImageDataset test = load_idx_dataset(golden_folder() / name, Split::test);
    EXPECT_EQ(test.count, 3u);
    EXPECT_EQ(test.channels, 1u);
    EXPECT_EQ(test.height, 4u);
    EXPECT_EQ(test.width, 5u);
    EXPECT_EQ(test.classes, 10);
    EXPECT_EQ(test.pixels, multiples_of_four(60));
    EXPECT_THAT(test.labels, ElementsAre(7, 0, 9));
  }
}

TEST_F(IdxDatasetTest, TheTrainingSplitHasItsOwnFiles) {
  const ImageDataset train = load_idx_dataset(golden_folder() / "idx_plain", Split::train);
  EXPECT_EQ(train.count, 2u);
  EXPECT_THAT(train.labels, ElementsAre(7, 0));
}

TEST_F(IdxDatasetTest, AMissingFileIsNamed) {
  EXPECT_EQ(error(), (folder / "t10k-images-idx3-ubyte").string() +
                         ": is missing, and so is the same with .gz");
  write("t10k-images-idx3-ubyte", golden("idx_plain/t10k-images-idx3-ubyte"));
  EXPECT_EQ(error(), (folder / "t10k-labels-idx1-ubyte").string() +
                         ": is missing, and so is the same with .gz");
}

TEST_F(IdxDatasetTest, CountsMustAgree) {
  write("t10k-images-idx3-ubyte", golden("idx_plain/t10k-images-idx3-ubyte"));
  write("t10k-labels-idx1-ubyte", file_of({0, 0, 8, 1, 0, 0, 0, 2, 7, 0}));
  EXPECT_EQ(error(), (folder / "t10k-labels-idx1-ubyte").string() +
                         ": 2 labels, expected 3 as there are images in t10k-images-idx3-ubyte");
}

TEST_F(IdxDatasetTest, ALabelAboveNineIsNamedByItsRecord) {
  write("t10k-images-idx3-ubyte", golden("idx_plain/t10k-images-idx3-ubyte"));
  write("t10k-labels-idx1-ubyte", file_of({0, 0, 8, 1, 0, 0, 0, 3, 7, 0, 10}));
  EXPECT_EQ(error(),
            (folder / "t10k-labels-idx1-ubyte").string() + ": record 2: label 10, expected 0 to 9");
}

TEST_F(IdxDatasetTest, DimensionsMustBeThoseOfImagesAndLabels) {
  write("t10k-images-idx3-ubyte", golden("idx_plain/t10k-labels-idx1-ubyte"));
  write("t10k-labels-idx1-ubyte", golden("idx_plain/t10k-labels-idx1-ubyte"));
  EXPECT_THAT(error(),
              HasSubstr("dimensions (3,), expected (images, height, width), each at least 1"));
  write("t10k-images-idx3-ubyte", file_of({0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1}));
  EXPECT_THAT(error(), HasSubstr("dimensions (3, 0, 1), expected"));
  write("t10k-images-idx3-ubyte", golden("idx_plain/t10k-images-idx3-ubyte"));
  write("t10k-labels-idx1-ubyte", golden("idx_plain/t10k-images-idx3-ubyte"));
  EXPECT_THAT(error(), HasSubstr("dimensions (3, 4, 5), expected (labels,)"));
}

// Sums as Python's gzip and sum() give them.
struct KnownDataset {
  fs::path folder;
  Split split;
  std::size_t count;
  std::uint64_t sum_of_pixels;
  std::uint64_t sum_of_weighted_pixels;  // pixel i times i mod 251
  std::vector<std::uint8_t> first_labels;
  std::uint64_t sum_of_labels;
};

class KnownDatasetTest : public testing::TestWithParam<KnownDataset> {};

TEST_P(KnownDatasetTest, HasTheKnownPixelsAndLabels) {
  const KnownDataset& known = GetParam();
  SKIP_IF_MISSING(known.folder);
  const ImageDataset data = load_idx_dataset(known.folder, known.split);
  EXPECT_EQ(data.count, known.count);
  EXPECT_EQ(data.height, 28u);
  EXPECT_EQ(data.width, 28u);
  ASSERT_EQ(data.pixels.size(), known.count * 28 * 28);
  ASSERT_EQ(data.labels.size(), known.count);
  std::uint64_t sum = 0;
  std::uint64_t weighted = 0;
  for (std::size_t i = 0; i < data.pixels.size(); ++i) {
    sum += data.pixels[i];
    weighted += data.pixels[i] * (i % 251);
  }
  EXPECT_EQ(sum, known.sum_of_pixels);
  EXPECT_EQ(weighted, known.sum_of_weighted_pixels);
  EXPECT_EQ(std::vector(data.labels.begin(), data.labels.begin() + 10), known.first_labels);
  EXPECT_EQ(std::accumulate(data.labels.begin(), data.labels.end(), std::uint64_t{0}),
            known.sum_of_labels);
}

constexpr const char* kFashion =
    "/usr/share/datasets/fashion-mnist";  // Debian's dataset-fashion-mnist

INSTANTIATE_TEST_SUITE_P(Mnist, KnownDatasetTest,
                         testing::Values(KnownDataset{large_folder() / "mnist",
                                                      Split::test,
                                                      10000,
                                                      264923200,
                                                      33094773509,
                                                      {7, 2, 1, 0, 4, 1, 4, 9, 5, 9},
                                                      44434},
                                         KnownDataset{large_folder() / "mnist",
                                                      Split::train,
                                                      60000,
                                                      1567298545,
                                                      195896319291,
                                                      {5, 0, 4, 1, 9, 2, 1, 3, 1, 4},
                                                      267236}));
INSTANTIATE_TEST_SUITE_P(FashionMnist, KnownDatasetTest,
                         testing::Values(KnownDataset{kFashion,
                                                      Split::test,
                                                      10000,
                                                      573469082,
                                                      71679932715,
                                                      {9, 2, 1, 1, 6, 1, 4, 6, 5, 7},
                                                      45000},
                                         KnownDataset{kFashion,
                                                      Split::train,
                                                      60000,
                                                      3431114169,
                                                      428843984823,
                                                      {9, 0, 0, 3, 0, 2, 7, 2, 5, 5},
                                                      270000}));

}  // namespace
}  // namespace tensorquant
