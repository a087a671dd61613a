#include "tensorquant/data/npy.h"

#include <gmock/gmock.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>

#include "tensorquant/base/test_files.h"

namespace tensorquant {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

template <class T>
constexpr T kLowest = std::numeric_limits<T>::lowest();
template <class T>
constexpr T kHighest = std::numeric_limits<T>::max();

Array parsed(const Bytes& file) { return parse_npy(file, "file"); }

// A file with this header and so many bytes after it.
Bytes file_with(const std::string& header, std::size_t size = 0) {
  std::string text("\x93NUMPY\x01\x00", 8);
  text += static_cast<char>(header.size() & 0xff);
  text += static_cast<char>(header.size() >> 8);
  return bytes_of(text + header + std::string(size, '\0'));
}

std::string header_error(const std::string& header, std::size_t size = 0) {
  return error_of([&] { parsed(file_with(header, size)); });
}

TEST(NpyTest, ReadsEveryType) {
  const Array f4 = read_npy(golden_folder() / "npy" / "f4_2x3.npy");
  EXPECT_EQ(f4.dtype, DType::f32);
  EXPECT_THAT(f4.shape, ElementsAre(2, 3));
  std::vector<std::uint32_t> bits;
  for (float value : f4.as<float>()) {
    bits.push_back(std::bit_cast<std::uint32_t>(value));
  }
  EXPECT_THAT(bits, ElementsAre(0u, 0x80000000u, 0x3fc00000u, 0x7f800000u, 0x7fc00000u, 1u));

  const Array f8 = parsed(golden("npy/f8_scalar.npy"));
  EXPECT_THAT(f8.shape, IsEmpty());
  EXPECT_THAT(f8.as<double>(), ElementsAre(0.1));

  const Array i4 = parsed(golden("npy/i4_3.npy"));
  EXPECT_THAT(i4.shape, ElementsAre(3));
  EXPECT_THAT(i4.as<std::int32_t>(), ElementsAre(kLowest<std::int32_t>, 0, kHighest<std::int32_t>));

  const Array i8 = parsed(golden("npy/i8_1x2.npy"));
  EXPECT_THAT(i8.shape, ElementsAre(1, 2));
  EXPECT_THAT(i8.as<std::int64_t>(), ElementsAre(kLowest<std::int64_t>, kHighest<std::int64_t>));

  const Array u1 = parsed(golden("npy/u1_2x2x2.npy"));
  EXPECT_THAT(u1.shape, ElementsAre(2, 2, 2));
  EXPECT_THAT(u1.as<std::uint8_t>(), ElementsAre(0, 1, 2, 3, 128, 253, 254, 255));
}

TEST(NpyTest, ReadsAnEmptyArray) {
  const Array array = parsed(golden("npy/f4_0x3.npy"));
  EXPECT_THAT(array.shape, ElementsAre(0, 3));
  EXPECT_THAT(array.as<float>(), IsEmpty());
}

TEST(NpyTest, TurnsFortranOrderIntoCOrder) {
  const Array array = parsed(golden("npy/i4_2x3x4_fortran.npy"));
  EXPECT_THAT(array.shape, ElementsAre(2, 3, 4));
  std::vector<std::int32_t> expected(24);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_THAT(array.as<std::int32_t>(), testing::ElementsAreArray(expected));
}

TEST(NpyTest, ReadsVersions2And3) {
  for (const char* name : {"npy/f4_2_version2.npy", "npy/f4_2_version3.npy"}) {
    EXPECT_THAT(parsed(golden(name)).as<float>(), ElementsAre(1, -2)) << name;
  }
}

TEST(NpyTest, ReadsHeadersAsPythonMayWriteThem) {
  const std::string keys[] = {"'shape':(2 ,3,)", "\"descr\" : \"|u1\"", "'fortran_order':False"};
  const Array array =
      parsed(file_with(" {" + keys[0] + "," + keys[1] + ", " + keys[2] + "}\t \n", 6));
  EXPECT_THAT(array.shape, ElementsAre(2, 3));
}

TEST(NpyTest, ReadsBigEndianNumbers) {
  EXPECT_THAT(parsed(golden("npy/f4_2_big_endian.npy")).as<float>(), ElementsAre(1, -2));
  EXPECT_THAT(parsed(golden("npy/i8_2_big_endian.npy")).as<std::int64_t>(),
              ElementsAre(1, kLowest<std::int64_t>));
  const Array fortran = parsed(golden("npy/f8_2x3_big_endian_fortran.npy"));
  EXPECT_THAT(fortran.shape, ElementsAre(2, 3));
  EXPECT_THAT(fortran.as<double>(), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(NpyTest, ReadsTypesWithoutACppTypeAsBytes) {
  const Array half = parsed(golden("npy/f2_2.npy"));
  EXPECT_EQ(half.dtype, DType::f16);
  EXPECT_EQ(half.bytes, (Bytes{std::byte{0}, std::byte{0x3c}, std::byte{0}, std::byte{0xc0}}));
  const Array flags = parsed(golden("npy/b1_2.npy"));
  EXPECT_EQ(flags.dtype, DType::boolean);
  EXPECT_EQ(flags.bytes, (Bytes{std::byte{1}, std::byte{0}}));
  EXPECT_THAT(parsed(golden("npy/u2_2.npy")).as<std::uint16_t>(), ElementsAre(0, 0xffff));
}

TEST(NpyTest, ReadsTheLongIntegersOfPython2) {
  const auto shape_of = [](const std::string& shape, std::size_t size) {
    return parsed(
               file_with("{'descr': '|u1', 'fortran_order': False, 'shape': " + shape + "}", size))
        .shape;
  };
  EXPECT_EQ(shape_of("(3L, 4L)", 12), (Shape{3, 4}));
  EXPECT_EQ(shape_of("(3L,)", 3), Shape{3});
  EXPECT_THAT(header_error("{'descr': '|u1', 'fortran_order': False, 'shape': (3LL,)}", 3),
              HasSubstr("expected"));
}

class WrittenNpyTest : public FileTest {};

TEST_F(WrittenNpyTest, IsByteForByteWhatNumpyWrites) {
  for (const char* name : {"npy/f4_2x3.npy", "npy/f8_scalar.npy", "npy/i4_3.npy", "npy/i8_1x2.npy",
                           "npy/u1_2x2x2.npy", "npy/f4_0x3.npy", "npy/u1_full_header.npy",
                           "npy/f2_2.npy", "npy/b1_2.npy", "npy/u2_2.npy"}) {
    write_npy(folder / "out.npy", parsed(golden(name)));
    EXPECT_EQ(read_file(folder / "out.npy"), golden(name)) << name;
  }
}

TEST_F(WrittenNpyTest, TakesASpanOfValues) {
  const std::vector<std::int32_t> values = {kLowest<std::int32_t>, 0, kHighest<std::int32_t>};
  write_npy<std::int32_t>(folder / "out.npy", {3}, values);
  EXPECT_EQ(read_file(folder / "out.npy"), golden("npy/i4_3.npy"));
}

TEST_F(WrittenNpyTest, AShapeThatDoesNotFitLeavesTheOldFile) {
  const std::vector<float> values = {1, 2, 3};
  write_npy<float>(folder / "out.npy", {3}, values);
  const Bytes old = read_file(folder / "out.npy");
  EXPECT_EQ(error_of([&] {
              write_npy<float>(folder / "out.npy", {2, 2}, values);
            }),
            (folder / "out.npy").string() +
                ": cannot write: 12 bytes of f32 do not make an array of shape (2, 2)");
  EXPECT_THAT(error_of([&] { write_npy(folder / "out.npy", DType::bf16, {1}, {}); }),
              HasSubstr("cannot write: .npy has no bf16 type"));
  EXPECT_THROW(write_npy<float>(folder / "out.npy", Shape(65, 0), {}), Error);
  EXPECT_EQ(read_file(folder / "out.npy"), old);
}

TEST_F(WrittenNpyTest, TheLargestHeaderIsReadAgain) {
  Shape shape(64, 1);
  shape[0] = 0;
  shape[63] = std::numeric_limits<std::size_t>::max();
  write_npy<double>(folder / "out.npy", shape, {});
  EXPECT_EQ(read_npy(folder / "out.npy").shape, shape);
}

TEST(DamagedNpyTest, EveryCutIsAnError) {
  for (const char* name : {"npy/f4_2x3.npy", "npy/f8_scalar.npy", "npy/i4_2x3x4_fortran.npy",
                           "npy/f4_2_version2.npy", "npy/f4_2_version3.npy", "npy/f4_0x3.npy"}) {
    expect_error_at_every_shorter_size(golden(name), parsed);
  }
}

TEST(DamagedNpyTest, NoChangedByteDoesHarm) {
  for (const char* name :
       {"npy/f4_2x3.npy", "npy/i4_2x3x4_fortran.npy", "npy/f4_2_version2.npy", "npy/f4_0x3.npy"}) {
    expect_no_harm_from_any_changed_byte(golden(name), 128, [](const Bytes& changed) {
      const Array array = parsed(changed);
      EXPECT_EQ(byte_count(array.dtype, array.shape), array.bytes.size());
    });
  }
}

TEST(DamagedNpyTest, MoreNumbersThanTheShapeSaysAreAnError) {
  Bytes file = golden("npy/i4_3.npy");
  file.push_back(std::byte{0});
  EXPECT_EQ(error_of([&] { parsed(file); }),
            "file: shape (3,) of i32: expected 12 bytes after the header, found 13");
}

TEST(DamagedNpyTest, HugeShapesAreAnErrorWithoutHugeMemory) {
  const std::string begin = "{'descr': '<f4', 'fortran_order': True, 'shape': ";
  EXPECT_THAT(header_error(begin + "(1000000000000,), }", 8),
              HasSubstr("expected 4000000000000 bytes after the header, found 8"));
  EXPECT_THAT(header_error(begin + "(4611686018427387904,), }"),
              HasSubstr("expected more than 2^64 bytes after the header, found 0"));
  EXPECT_THAT(header_error(begin + "(4294967296, 4294967296), }"), HasSubstr("more than 2^64"));
  EXPECT_THAT(header_error(begin + "(18446744073709551616,), }"),
              HasSubstr("a dimension is too large"));
  std::string ones;
  for (int i = 0; i < 65; ++i) {
    ones += "1,";
  }
  EXPECT_THAT(header_error(begin + "(" + ones + "), }", 4), HasSubstr("more than 64 dimensions"));
}

TEST(DamagedNpyTest, MalformedHeadersAreErrorsWithTheirPlace) {
  const std::string sound = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }";
  EXPECT_EQ(parsed(file_with(sound, 4)).shape, Shape{1});
  const auto error_with = [&](const std::string& old_text, const std::string& new_text) {
    std::string header = sound;
    return header_error(header.replace(header.find(old_text), old_text.size(), new_text), 4);
  };
  EXPECT_EQ(header_error(""), "file: .npy header at byte 10: expected '{'");
  EXPECT_THAT(header_error("{}"), HasSubstr("one is missing"));
  EXPECT_THAT(header_error("{"), HasSubstr("byte 11: expected a string"));
  EXPECT_THAT(error_with("(1,)", "(-1,)"), HasSubstr("byte 61: expected a dimension"));
  EXPECT_THAT(error_with("(1,)", "(1)"), HasSubstr("expected ',' after the only dimension"));
  EXPECT_THAT(error_with("(1,)", "(1 1)"), HasSubstr("expected ','"));
  EXPECT_THAT(error_with("(1,)", "(1, 1"), HasSubstr("expected a dimension"));
  EXPECT_THAT(error_with("(1,)", "[1]"), HasSubstr("expected '('"));
  EXPECT_THAT(error_with("(1,)", "(1.0,)"), HasSubstr("expected"));
  EXPECT_THAT(error_with("False", "0"), HasSubstr("expected True or False"));
  EXPECT_THAT(error_with("'<f4'", "'<f4"), HasSubstr("expected"));
  EXPECT_THAT(error_with("'<f4'", "None"), HasSubstr("expected a string"));
  EXPECT_THAT(error_with("'<f4'", "'\n<f4'"), HasSubstr("type '?<f4', expected booleans"));
  EXPECT_THAT(error_with("'<f4'", "'|f4'"), HasSubstr("type '|f4', expected"));
  EXPECT_THAT(error_with("'<f4'", "'<<f4'"), HasSubstr("type '<<f4', expected"));
  EXPECT_THAT(error_with("shape", "order"), HasSubstr("found 'order'"));
  EXPECT_THAT(error_with("'shape'", "'descr'"), HasSubstr("'descr' stands twice"));
  EXPECT_THAT(error_with(", }", "} x"), HasSubstr("expected the end of the header"));
}

TEST(DamagedNpyTest, OtherTypesVersionsAndFilesAreErrors) {
  EXPECT_EQ(error_of([] { parsed(golden("npy/complex.npy")); }),
            "file: .npy header at byte 25: type '<c8', expected booleans (b1), integers (i1 to "
            "u8) or floats (f2, f4, f8)");
  EXPECT_THAT(error_of([] { parsed(golden("npy/structured.npy")); }),
              HasSubstr("structured types are not supported"));
  EXPECT_THAT(error_of([] { parsed(bytes_of("PK\x03\x04")); }), HasSubstr("is not a .npy file"));
  Bytes file = golden("npy/i4_3.npy");
  file[6] = std::byte{4};
  EXPECT_EQ(error_of([&] { parsed(file); }), "file: .npy version 4.0, expected 1.0, 2.0 or 3.0");
}

TEST(KnownNpyTest, LogitsOfTrainedNetworksHaveTheirShapeAndNumbers) {
  const std::filesystem::path path =
      large_folder() / "mnist_lenet5" / "lenet5_t10k_float_logits.npy";
  SKIP_IF_MISSING(path);
  const Array logits = read_npy(path);
  EXPECT_THAT(logits.shape, ElementsAre(10000, 10));
  EXPECT_EQ(logits.as<float>().front(), 0.2660024f);
  EXPECT_EQ(logits.as<float>().back(), -0.61281866f);
}

}  // namespace
}  // namespace tensorquant
