#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tensorquant/base/error.h"
#include "tensorquant/maps/quantizer_map.h"

namespace tensorquant {
namespace {

using testing::StartsWith;
using testing::ThrowsMessage;

class MapArgument : public testing::Test {
 protected:
  MapArgument() : folder_(std::filesystem::path(testing::TempDir()) / "tensorquant_map_argument") {
    std::filesystem::create_directories(folder_ / "sub");
    std::ofstream(folder_ / "8bit.json") << R"({"conv": "nearest,8,4"})";
  }
  ~MapArgument() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

TEST_F(MapArgument, AnExistingFileIsRead) {
  const auto map = QuantizerMap::from_argument((folder_ / "8bit.json").string());
  EXPECT_EQ(map.to_json(), R"({"conv":"nearest,8,4"})");
  EXPECT_EQ(map.rules()[0].origin, (folder_ / "8bit.json").string() + ":1:2");
}

TEST_F(MapArgument, AQuantizerStringIsForEveryLayer) {
  EXPECT_EQ(QuantizerMap::from_argument("nearest,8,4", MapKind::intrinsic),
            QuantizerMap({{"", "nearest,8,4"}}, MapKind::intrinsic));
  EXPECT_EQ(QuantizerMap::from_argument("sparse,0.5").find("fc")->spec(), "sparse,0.5");
  EXPECT_EQ(QuantizerMap::from_argument("none").to_json(), R"({"":null})");
}

TEST_F(MapArgument, JsonMayStandInTheArgument) {
  EXPECT_EQ(QuantizerMap::from_argument(R"( {"conv": "fp16"})").to_json(), R"({"conv":"fp16"})");
  EXPECT_THAT([] { QuantizerMap::from_argument(R"({"conv": 8})"); },
              ThrowsMessage<Error>(StartsWith("line 1, column 10: expected a quantizer string")));
}

TEST_F(MapArgument, AByteOrderMarkIsNoPartOfTheText) {
  const std::string mark = "\xEF\xBB\xBF";
  EXPECT_EQ(QuantizerMap::from_argument(mark + R"({"conv": "fp16"})").to_json(),
            R"({"conv":"fp16"})");
  EXPECT_EQ(QuantizerMap::from_argument(mark + "fp16").to_json(), R"({"":"fp16"})");
  EXPECT_THAT([&] { QuantizerMap::from_argument(mark + R"({"conv": 8})"); },
              ThrowsMessage<Error>(StartsWith("line 1, column 10: ")));
  EXPECT_THAT([] { QuantizerMap::from_json("\xFE\xFF{}"); },
              ThrowsMessage<Error>("line 1, column 1: the text is UTF-16, expected UTF-8"));
}

TEST_F(MapArgument, AMissingFileIsNeverReadAsAQuantizer) {
  for (const char* path : {"no/such.json", "no/such", "such.json", "./fp16", "../x", "~", "a.txt",
                           "nearest,8,4.json", "C:\\maps\\8bit"}) {
    EXPECT_THAT([&] { QuantizerMap::from_argument(path); },
                ThrowsMessage<Error>(std::string(path) + ": no such file"));
  }
  EXPECT_THAT([] { QuantizerMap::from_argument("neares,8,4"); },
              ThrowsMessage<Error>("'neares,8,4' is neither an existing file nor a quantizer "
                                   "string: unknown name 'neares', did you mean 'nearest'?"));
  EXPECT_THAT([] { QuantizerMap::from_argument("8bit\n"); },
              ThrowsMessage<Error>(StartsWith("'8bit\\x0a' is neither an existing file nor ")));
  EXPECT_THAT([] { QuantizerMap::from_argument(""); },
              ThrowsMessage<Error>(StartsWith("'' is neither ")));
  EXPECT_THROW(QuantizerMap::from_argument(std::string(100'000, 'x')), Error);
}

TEST_F(MapArgument, AFolderIsNoMap) {
  const std::string folder = (folder_ / "sub").string();
  EXPECT_THAT([&] { QuantizerMap::from_argument(folder); },
              ThrowsMessage<Error>(folder + ": is a directory"));
  EXPECT_THAT([&] { QuantizerMap::from_file(folder); },
              ThrowsMessage<Error>(folder + ": is a directory"));
  EXPECT_THAT([] { QuantizerMap::from_file("no such map"); },
              ThrowsMessage<Error>("no such map: no such file"));
}

}  // namespace
}  // namespace tensorquant
