// Windows of sizes that a hostile file may tell.

#include <gmock/gmock.h>

#include <limits>

#include "tensorquant/onnx_torch/test_models.h"

namespace tensorquant {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t kMany = std::int64_t{1} << 28;  // the most that an attribute may tell

onnx::ModelProto with_window(const std::string& type, Attributes attributes) {
  const bool is_pool = type.ends_with("Pool");
  if (is_pool && attributes.front().name != "kernel_shape") {
    attributes.push_back(attribute("kernel_shape", Integers{2, 2}));
  }
  onnx::NodeProto made =
      with(node(type, is_pool ? Texts{"x"} : Texts{"x", "w"}, {"y"}, "n"), std::move(attributes));
  return model_of({made}, {floats("w", {1, 1, 2, 2}, {1, 1, 1, 1})});
}

std::string error_with(const onnx::ModelProto& model) {
  return error_of([&] { run(model, at::ones({1, 1, 4, 4})); });
}

const char* const kTypes[] = {"Conv", "ConvTranspose", "AveragePool", "MaxPool", "LpPool"};

TEST(WindowsTest, NumbersNearTheEndsOfTheirTypeAreErrors) {
  const std::string most = ": expected at most 268435456, found ";
  for (const std::string type : kTypes) {
    for (const std::int64_t value : {kLargest, kMany + 1}) {
      for (const char* const name : {"strides", "dilations"}) {
        EXPECT_EQ(error_with(with_window(type, {attribute(name, Integers{1, value})})),
                  "file: node 'n' (" + type + "): attribute '" + name + "'" + most +
                      std::to_string(value));
      }
      EXPECT_EQ(error_with(with_window(type, {attribute("pads", Integers{0, value, 0, value})})),
                "file: node 'n' (" + type + "): attribute 'pads'" + most + std::to_string(value));
    }
    EXPECT_EQ(error_with(with_window(type, {attribute("pads", Integers{0, 0, 0, -kLargest})})),
              "file: node 'n' (" + type +
                  "): attribute 'pads': expected -268435456 or more, found " +
                  std::to_string(-kLargest));
  }
  for (const std::string type : {"AveragePool", "MaxPool", "LpPool"}) {
    EXPECT_EQ(error_with(with_window(type, {attribute("kernel_shape", Integers{2, kLargest})})),
              "file: node 'n' (" + type + "): attribute 'kernel_shape'" + most +
                  std::to_string(kLargest));
  }
  EXPECT_EQ(error_with(
                with_window("ConvTranspose", {attribute("output_padding", Integers{0, kLargest})})),
            "file: node 'n' (ConvTranspose): attribute 'output_padding'" + most +
                std::to_string(kLargest));
}

TEST(WindowsTest, OutputsThatNoMemoryHoldsAreErrors) {
  const Integers many = {kMany, kMany}, around = {kMany, kMany, kMany, kMany},
                 one_side = {kMany, kMany, 0, 0};
  struct Case {
    std::string type;
    onnx::Attribute attribute;
  };
  for (const Case& one : {
           Case{"Conv", attribute("pads", around)},
           Case{"Conv", attribute("pads", one_side)},
           Case{"AveragePool", attribute("pads", around)},
           Case{"AveragePool", attribute("pads", one_side)},
           Case{"MaxPool", attribute("pads", around)},
           Case{"LpPool", attribute("pads", around)},
           Case{"ConvTranspose", attribute("strides", many)},
           Case{"ConvTranspose", attribute("dilations", many)},
           Case{"ConvTranspose", attribute("output_shape", Integers{kLargest, kLargest})},
       }) {
    EXPECT_THAT(error_with(with_window(one.type, {one.attribute})),
                AllOf(StartsWith("file: node 'n' (" + one.type + "): "),
                      HasSubstr("takes more than 16 GiB")));
  }
}

TEST(WindowsTest, LargerThanThePaddedInputIsAnError) {
  for (const std::string type : {"Conv", "AveragePool", "MaxPool", "LpPool"}) {
    // Padding on one side, which libtorch does not take.
    for (const Integers& pads : {Integers{0, 0, 0, 0}, Integers{0, 0, 1, 1}}) {
      EXPECT_THAT(error_with(with_window(type, {attribute("dilations", Integers{kMany, kMany}),
                                                attribute("pads", pads)})),
                  StartsWith("file: node 'n' (" + type + "): "))
          << type;
    }
  }
}

TEST(WindowsTest, ALongStrideIsOneWindow) {
  for (const std::string type : {"Conv", "AveragePool", "MaxPool", "LpPool"}) {
    const at::Tensor y = run(with_window(type, {attribute("strides", Integers{kMany, kMany})}),
                             at::ones({1, 1, 4, 4}));
    EXPECT_EQ(y.sizes(), at::IntArrayRef({1, 1, 1, 1})) << type;
  }
}

TEST(WindowsTest, AWeightWithoutOutputsHasOneGroup) {
  const onnx::ModelProto model =
      model_of({with(node("Conv", {"x", "w"}, {"y"}, "n"), {attribute("group", 1 << 30)})},
               {floats("w", {0, 1 << 30, 1, 1}, {})});
  EXPECT_EQ(error_of_model(model),
            "file: node 'n' (Conv): attribute 'group': a weight of size 0 along axis 0 has no "
            "1073741824 equal groups");
}

TEST(WindowsTest, BlocksOfAnImageFitIt) {
  const auto error = [](Integers image, Integers block, Attributes attributes) {
    const onnx::ModelProto model =
        model_of({with(node("Col2Im", {"x", "i", "b"}, {"y"}, "n"), std::move(attributes))},
                 {constant<std::int64_t>("i", DataType::i64, {2}, std::move(image)),
                  constant<std::int64_t>("b", DataType::i64, {2}, std::move(block))});
    return error_of([&] { run(model, at::ones({1, 4, 4})); });
  };
  EXPECT_THAT(error({4, 4}, {kMany, kMany}, {}), HasSubstr("takes more than 16 GiB"));
  EXPECT_THAT(error({kLargest, kLargest}, {2, 2}, {}), HasSubstr("takes more than 16 GiB"));
  EXPECT_THAT(error({4, 4}, {2, 2}, {attribute("pads", Integers{kMany, kMany, 0, 0})}),
              HasSubstr("takes more than 16 GiB"));
  EXPECT_THAT(error({4, 4}, {2, 2}, {attribute("dilations", Integers{kMany, kMany})}),
              HasSubstr("the window is larger than the padded image"));
}

}  // namespace
}  // namespace tensorquant
