#include <gmock/gmock.h>

#include <fstream>

#include "tensorquant/base/test_files.h"
#include "tensorquant/onnx/wire/model.h"

namespace tensorquant::onnx {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class ExternalDataTest : public FileTest {
 protected:
  void SetUp() override {
    FileTest::SetUp();
    std::filesystem::create_directories(folder / "model" / "data");
    write(folder / "model" / "data" / "w.bin", "--abcdef");
    write(folder / "secret", "abcd");
  }
  static void write(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  // The model's tensor of 4 bytes as it is read from there.
  Tensor read(const ExternalData& external) {
    ModelProto model;
    model.ir_version = 8;
    Tensor tensor = make_tensor(DataType::u8, {4}, {});
    tensor.name = "w";
    tensor.external = external;
    model.graph.initializers.push_back(tensor);
    write_model(folder / "model" / "net.onnx", model);
    return read_model(folder / "model" / "net.onnx").graph.initializers.at(0);
  }
  std::string error_with(const ExternalData& external) {
    const std::string error = error_of([&] { read(external); });
    EXPECT_THAT(error, HasSubstr("net.onnx: tensor 'w': external data '"));
    return error;
  }
};

TEST_F(ExternalDataTest, IsReadFromAFileBelowTheModelsFolder) {
  const Tensor tensor = read({"data/w.bin", 2, 4});
  EXPECT_THAT(tensor.as<char>(), ElementsAre('a', 'b', 'c', 'd'));
  EXPECT_FALSE(tensor.external.has_value());
  EXPECT_THAT(read({"./data/w.bin", 4, std::nullopt}).as<char>(), ElementsAre('c', 'd', 'e', 'f'));
}

TEST_F(ExternalDataTest, IsReadIntoTheDefaultsOfFunctions) {
  ModelProto model;
  model.ir_version = 8;
  Attribute& standard = model.functions.emplace_back().defaults.emplace_back();
  standard.name = "value";
  standard.type = AttributeType::tensor;
  standard.tensors = {make_tensor(DataType::u8, {4}, {})};
  standard.tensors[0].external = {"data/w.bin", 2, 4};
  write_model(folder / "model" / "net.onnx", model);
  const ModelProto again = read_model(folder / "model" / "net.onnx");
  EXPECT_THAT(again.functions.at(0).defaults.at(0).tensors.at(0).as<char>(),
              ElementsAre('a', 'b', 'c', 'd'));
}

TEST_F(ExternalDataTest, OutsideTheFolderIsAnError) {
  EXPECT_THAT(error_with({"../secret", 0, 4}), HasSubstr("leads out of the model's folder"));
  EXPECT_THAT(error_with({"data/../../secret", 0, 4}), HasSubstr("leads out of"));
  EXPECT_THAT(error_with({(folder / "secret").string(), 0, 4}), HasSubstr("a path relative to"));
  EXPECT_THAT(error_with({"", 0, 4}), HasSubstr("a path relative to"));
}

TEST_F(ExternalDataTest, LinksAreNotFollowed) {
  std::filesystem::create_symlink("../secret", folder / "model" / "link");
  EXPECT_THAT(error_with({"link", 0, 4}), HasSubstr("leads through a link"));
  std::filesystem::create_directory_symlink("..", folder / "model" / "up");
  EXPECT_THAT(error_with({"up/secret", 0, 4}), HasSubstr("leads through a link"));
}

TEST_F(ExternalDataTest, WhatIsNotInTheFileIsAnError) {
  EXPECT_THAT(error_with({"none.bin", 0, 4}), HasSubstr("no such file"));
  EXPECT_THAT(error_with({"data", 0, 4}), HasSubstr("no such file"));
  EXPECT_THAT(error_with({"data/w.bin", 9, 4}), HasSubstr("offset 9 beyond its end"));
  EXPECT_THAT(error_with({"data/w.bin", 6, 4}), HasSubstr("4 bytes from 6 where the file has 8"));
  EXPECT_THAT(error_with({"data/w.bin", 0, 3}), HasSubstr("expected 4 bytes, found 3"));
  EXPECT_THAT(error_with({"data/w.bin", 0, std::nullopt}), HasSubstr("expected 4 bytes, found 8"));
}

}  // namespace
}  // namespace tensorquant::onnx
