#include "tensorquant/data/safetensors.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <string>

#include "tensorquant/base/test_files.h"

namespace tensorquant {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

Safetensors parsed(const Bytes& file) { return parse_safetensors(file, "file"); }

// A file with this header and so many bytes of data.
Bytes file_with(const std::string& header, std::size_t size = 0) {
  std::string length(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) {
    length[i] = static_cast<char>(header.size() >> (8 * i) & 0xff);
  }
  return bytes_of(length + header + std::string(size, '\0'));
}

std::string header_error(const std::string& header, std::size_t size = 0) {
  return error_of([&] { parsed(file_with(header, size)); });
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

template <class T>
T raw(const Array& array, std::size_t index) {
  T value;
  std::memcpy(&value, array.bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

TEST(SafetensorsTest, ReadsEveryType) {
  const Safetensors file = read_safetensors(golden_folder() / "safetensors/every_type.safetensors");
  const auto& t = file.tensors;
  EXPECT_EQ(t.size(), 13u);
  EXPECT_THAT(file.metadata, ElementsAre(Pair("format", "np")));
  EXPECT_THAT(t.at("f32").shape, ElementsAre(2, 1));
  EXPECT_THAT(t.at("f32").as<float>(), ElementsAre(1.5f, -0.0f));
  EXPECT_THAT(t.at("f64").as<double>(), ElementsAre(0.1));
  EXPECT_THAT(t.at("u8").as<std::uint8_t>(), ElementsAre(0, 255));
  EXPECT_THAT(t.at("i8").as<std::int8_t>(), ElementsAre(-128, 127));
  EXPECT_THAT(t.at("u16").as<std::uint16_t>(), ElementsAre(0, 65535));
  EXPECT_THAT(t.at("i16").as<std::int16_t>(), ElementsAre(-32768, 32767));
  EXPECT_THAT(t.at("u32").as<std::uint32_t>(), ElementsAre(0u, 4294967295u));
  EXPECT_THAT(t.at("i32").as<std::int32_t>(), ElementsAre(-2147483647 - 1, 2147483647));
  EXPECT_THAT(t.at("u64").as<std::uint64_t>(), ElementsAre(18446744073709551615u));
  EXPECT_THAT(t.at("i64").as<std::int64_t>(),
              ElementsAre(std::numeric_limits<std::int64_t>::min(),
                          std::numeric_limits<std::int64_t>::max()));
  EXPECT_EQ(t.at("bool").dtype, DType::boolean);
  EXPECT_EQ(raw<std::uint8_t>(t.at("bool"), 0), 1);
  EXPECT_EQ(t.at("f16").dtype, DType::f16);
  EXPECT_EQ(raw<std::uint16_t>(t.at("f16"), 1), 0xc000);
  EXPECT_EQ(t.at("bf16").dtype, DType::bf16);
  EXPECT_EQ(raw<std::uint16_t>(t.at("bf16"), 0), 0x3f80);
}

TEST(SafetensorsTest, ReadsScalarsEmptyTensorsAndAnyName) {
  const Safetensors file = parsed(golden("safetensors/layers.safetensors"));
  EXPECT_EQ(file.tensors.size(), 5u);
  EXPECT_THAT(file.metadata, IsEmpty());
  EXPECT_THAT(file.tensors.at("fc.weight").shape, ElementsAre(2, 3));
  EXPECT_THAT(file.tensors.at("fc.weight").as<float>(), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(file.tensors.at("fc.bias").as<float>(), ElementsAre(-1, 1));
  EXPECT_THAT(file.tensors.at("scalar").shape, IsEmpty());
  EXPECT_THAT(file.tensors.at("scalar").as<std::int64_t>(), ElementsAre(42));
  EXPECT_THAT(file.tensors.at("empty").shape, ElementsAre(0, 3));
  EXPECT_THAT(file.tensors.at("empty").bytes, IsEmpty());
  EXPECT_THAT(file.tensors.at("quote \" and \u00e9\n").as<float>(), ElementsAre(7));
}

TEST(SafetensorsTest, ReadsAFileWithoutTensors) {
  EXPECT_THAT(parsed(golden("safetensors/no_tensors.safetensors")).tensors, IsEmpty());
}

TEST(SafetensorsTest, EightBitFloatsPassThroughAsBytes) {
  const Safetensors file = parsed(file_with("{" + entry("a", "F8_E4M3", "[2]", "[0,2]") + "," +
                                                entry("b", "F8_E5M2", "[1]", "[2,3]") + "}",
                                            3));
  EXPECT_EQ(file.tensors.at("a").dtype, DType::f8_e4m3);
  EXPECT_EQ(file.tensors.at("b").dtype, DType::f8_e5m2);
}

TEST(SafetensorsTest, TheHeaderMayNameTensorsInAnyOrder) {
  const Safetensors file =
      parsed(file_with("{" + entry("late", "U8", "[1]", "[4,5]") + ", " +
                           entry("early", "F32", "[]", "[0,4]") + " , \"__metadata__\":{}}   ",
                       5));
  EXPECT_EQ(file.tensors.at("late").bytes.size(), 1u);
  EXPECT_EQ(file.tensors.at("early").bytes.size(), 4u);
}

class WrittenSafetensorsTest : public FileTest {};

TEST_F(WrittenSafetensorsTest, IsByteForByteWhatThePythonPackageWrites) {
  for (const char* name : {"safetensors/every_type.safetensors", "safetensors/layers.safetensors",
                           "safetensors/no_tensors.safetensors"}) {
    write_safetensors(folder / "out", parsed(golden(name)));
    EXPECT_EQ(read_file(folder / "out"), golden(name)) << name;
  }
}

TEST_F(WrittenSafetensorsTest, MetadataIsReadAgain) {
  Safetensors file;
  file.metadata = {{"step", "7"}, {"seed", "\u00fc \"\n"}};
  write_safetensors(folder / "out", file);
  EXPECT_EQ(read_safetensors(folder / "out").metadata, file.metadata);
}

TEST_F(WrittenSafetensorsTest, WhatCannotBeWrittenIsNamedAndLeavesTheOldFile) {
  write_safetensors(folder / "out", {});
  const auto error = [this](const std::string& name, const Array& array) {
    return error_of([&] { write_safetensors(folder / "out", {{{name, array}}, {}}); });
  };
  const Array sound = make_array<float>({1}, std::vector<float>{1});
  EXPECT_THAT(error("__metadata__", sound), HasSubstr("the name is reserved"));
  EXPECT_THAT(error("\xff", sound), HasSubstr("not UTF-8"));
  EXPECT_EQ(error("fc", Array{DType::f32, {2}, sound.bytes}),
            (folder / "out").string() +
                ": tensor \"fc\": cannot write: 4 bytes do not make shape (2,) of F32");
  EXPECT_EQ(read_file(folder / "out"), golden("safetensors/no_tensors.safetensors"));
}

TEST(DamagedSafetensorsTest, EveryCutIsAnError) {
  for (const char* name : {"safetensors/every_type.safetensors", "safetensors/layers.safetensors",
                           "safetensors/no_tensors.safetensors"}) {
    expect_error_at_every_shorter_size(golden(name), parsed);
  }
}

TEST(DamagedSafetensorsTest, NoChangedByteDoesHarm) {
  const Bytes file = golden("safetensors/layers.safetensors");
  expect_no_harm_from_any_changed_byte(file, 8 + 64 + 256, [](const Bytes& changed) {
    for (const auto& [name, array] : parsed(changed).tensors) {
      EXPECT_EQ(byte_count(array.dtype, array.shape), array.bytes.size()) << name;
    }
  });
}

TEST(DamagedSafetensorsTest, AHeaderBeyondTheFileOrTheLimitIsAnError) {
  Bytes file = file_with("{}");
  file[0] = std::byte{3};
  EXPECT_EQ(error_of([&] { parsed(file); }), "file: a header of 3 bytes, expected at most 2");
  std::fill_n(file.begin(), 8, std::byte{0xff});
  EXPECT_EQ(error_of([&] { parsed(file); }),
            "file: a header of 18446744073709551615 bytes, expected at most 2");
}

TEST(DamagedSafetensorsTest, AHeaderThatIsNoSoundObjectIsAnError) {
  EXPECT_THAT(header_error(""), HasSubstr("expected '{' at byte 8"));
  EXPECT_THAT(header_error(" {}"), HasSubstr("expected '{' at byte 8"));
  EXPECT_THAT(header_error("[]"), HasSubstr("expected '{' at byte 8"));
  EXPECT_THAT(header_error("{"), HasSubstr("is not valid JSON at byte"));
  EXPECT_THAT(header_error("{}x"), HasSubstr("is not valid JSON at byte 11"));
  EXPECT_THAT(header_error("{\"\xff\":1}"), HasSubstr("is not valid JSON"));
  EXPECT_THAT(header_error("{\"a\":1e999}"), HasSubstr("a number does not fit a double"));
  EXPECT_THAT(header_error("{\"a\":" + std::string(100000, '[')), HasSubstr("nested more deeply"));
  EXPECT_THAT(header_error("{\"a\":1}"), HasSubstr("tensor \"a\": has no dtype"));
  EXPECT_THAT(header_error("{\"a\":{\"dtype\":\"F32\"}}"), HasSubstr("has no data_offsets"));
  EXPECT_THAT(header_error("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,0]}}"),
              HasSubstr("has no shape"));
  EXPECT_THAT(header_error("{\"a\\n\":{\"dtype\":3}}"),
              HasSubstr("tensor \"a\\n\": unknown dtype (expected a string)"));
}

TEST(DamagedSafetensorsTest, MetadataThatIsNotTextIsAnError) {
  EXPECT_THAT(header_error("{\"__metadata__\":3}"), HasSubstr("__metadata__: expected an object"));
  EXPECT_THAT(header_error("{\"__metadata__\":{\"a\":1}}"), HasSubstr("a string for \"a\""));
}

TEST(DamagedSafetensorsTest, AnUnknownTypeIsAnErrorThatNamesTheTensor) {
  EXPECT_EQ(header_error("{" + entry("conv1", "F4", "[2]", "[0,1]") + "}", 1),
            "file: tensor \"conv1\": unknown dtype \"F4\"");
}

TEST(DamagedSafetensorsTest, ANameThatStandsTwiceIsAnError) {
  const std::string a = entry("a", "U8", "[1]", "[0,1]");
  const std::string b = entry("a", "U8", "[1]", "[1,2]");
  EXPECT_EQ(header_error("{" + a + "," + b + "}", 2),
            "file: the name \"a\" stands twice in the header");
  EXPECT_THAT(header_error("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}"),
              HasSubstr("the name \"dtype\" stands twice"));
  EXPECT_THAT(header_error("{\"__metadata__\":{},\"__metadata__\":{}}"), HasSubstr("stands twice"));
}

TEST(DamagedSafetensorsTest, ShapesAndOffsetsMustBeSizes) {
  const auto error = [](const std::string& shape, const std::string& offsets) {
    return header_error("{" + entry("a", "U8", shape, offsets) + "}", 1);
  };
  EXPECT_THAT(error("[-1]", "[0,1]"), HasSubstr("shape: expected a list of integers"));
  EXPECT_THAT(error("[1.0]", "[0,1]"), HasSubstr("shape: expected a list of integers"));
  EXPECT_THAT(error("[18446744073709551616]", "[0,1]"), HasSubstr("shape: expected a list"));
  EXPECT_THAT(error("1", "[0,1]"), HasSubstr("shape: expected a list of integers"));
  EXPECT_THAT(error("[[1]]", "[0,1]"), HasSubstr("nested more deeply"));
  EXPECT_THAT(error("[1]", "[1]"), HasSubstr("data_offsets: expected two integers, found 1"));
  EXPECT_THAT(error("[1]", "[0,\"1\"]"), HasSubstr("data_offsets: expected a list of integers"));
}

TEST(DamagedSafetensorsTest, HugeShapesAreAnErrorWithoutHugeMemory) {
  const auto error = [](const std::string& shape, const std::string& offsets) {
    return header_error("{" + entry("a", "F64", shape, offsets) + "}", 8);
  };
  EXPECT_THAT(error("[1000000000000]", "[0,8]"), HasSubstr("expected 8000000000000 bytes"));
  EXPECT_THAT(error("[2305843009213693953]", "[0,8]"), HasSubstr("expected more than 2^64 bytes"));
  EXPECT_THAT(error("[4294967296,4294967296,1]", "[0,8]"), HasSubstr("more than 2^64 bytes"));
  EXPECT_THAT(error("[1]", "[0,18446744073709551615]"), HasSubstr("within 8 bytes"));
  EXPECT_THAT(error("[1]", "[8,0]"), HasSubstr("within 8 bytes"));
}

TEST(DamagedSafetensorsTest, TensorsMustCoverTheDataOnce) {
  const auto error = [](const std::string& first, const std::string& second) {
    return header_error(
        "{" + entry("a", "U8", "[2]", first) + "," + entry("b", "U8", "[2]", second) + "}", 4);
  };
  EXPECT_EQ(error("[0,2]", "[1,3]"),
            "file: tensor \"b\": data_offsets [1, 3] overlap another tensor: expected to begin at "
            "2");
  EXPECT_THAT(error("[0,2]", "[0,2]"), HasSubstr("overlap another tensor"));
  EXPECT_THAT(error("[2,4]", "[1,3]"), AllOf(HasSubstr("tensor \"b\""), HasSubstr("leave a hole")));
  EXPECT_THAT(error("[0,2]", "[3,5]"), HasSubstr("within 4 bytes"));
  EXPECT_EQ(header_error("{" + entry("a", "U8", "[2]", "[0,2]") + "}", 3),
            "file: the tensors end at byte 63, expected at the end of the file, byte 64");
}

TEST(KnownSafetensorsTest, TrainedNetworksHaveTheirTensors) {
  const std::filesystem::path lenet = large_folder() / "mnist_lenet5" / "lenet5.safetensors";
  const std::filesystem::path resnet =
      large_folder() / "cifar10_resnet20_32" / "resnet20.safetensors";
  SKIP_IF_MISSING(lenet);
  SKIP_IF_MISSING(resnet);
  const Safetensors small = read_safetensors(lenet);
  EXPECT_EQ(small.tensors.size(), 10u);
  EXPECT_THAT(small.tensors.at("conv1.weight").shape, ElementsAre(6, 1, 5, 5));
  EXPECT_EQ(small.tensors.at("conv1.weight").as<float>().front(), -0.33928597f);
  EXPECT_EQ(small.tensors.at("conv1.weight").as<float>().back(), 0.29726407f);
  const Safetensors large = read_safetensors(resnet);
  EXPECT_EQ(large.tensors.size(), 97u);
  std::size_t numbers = 0;
  for (const auto& [name, array] : large.tensors) {
    numbers += array.as<float>().size();
  }
  EXPECT_EQ(numbers, 271098u);
  const std::span<const float> bias = large.tensors.at("bn1.bias").as<float>();
  EXPECT_NEAR(std::accumulate(bias.begin(), bias.end(), 0.0), 4.791820557788014, 1e-12);
}

}  // namespace
}  // namespace tensorquant
