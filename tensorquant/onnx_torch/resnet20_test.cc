// One network four ways: ours, and three files that PyTorch's exporters made of it.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tensorquant/base/test_files.h"
#include "tensorquant/data/npy.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/observers.h"
#include "tensorquant/models/checkpoint.h"
#include "tensorquant/models/model.h"
#include "tensorquant/models/tensor_array.h"
#include "tensorquant/onnx_torch/onnx_model.h"

namespace tensorquant {
namespace {

std::filesystem::path weights() {
  return large_folder() / "cifar10_resnet20_32" / "resnet20.safetensors";
}
std::filesystem::path file(const std::string& name) {
  return large_folder() / "onnx_models" / name / "model.onnx";
}
at::Tensor images() {
  return to_tensor(read_npy(file("resnet20_legacy_bn").parent_path() / "input_0.npy"));
}

using Outputs = std::map<std::string, at::Tensor>;

// The outputs of all layers, and of the model: "".
template <class Model, class Forward>
Outputs outputs_of(const Model& model, const std::string& maps, const Forward& forward) {
  const at::NoGradGuard no_gradients;
  const ApplyReport applied = apply(*model, Override::from_json(maps));
  Outputs outputs;
  set_output_observer(
      *model, [&](const std::string& name, const at::Tensor& y) { outputs[name] = y.clone(); });
  outputs[""] = forward(applied.input(images(), 0));
  return outputs;
}

Outputs outputs_of_ours(const std::string& maps) {
  const auto model = make_model(find_model("resnet20"));
  load_checkpoint(*model, weights());
  model->eval();
  return outputs_of(model, maps, [&](const at::Tensor& x) { return model->forward(x); });
}

Outputs outputs_of_file(const std::string& name, const std::string& maps) {
  const auto model = load_onnx(file(name));
  return outputs_of(model, maps, [&](const at::Tensor& x) { return model->forward({x})[0]; });
}

// Batch normalizations are nodes of the one file; the others have them in their convolutions.
const char* const kFiles[] = {"resnet20_legacy_bn", "resnet20_legacy", "resnet20_dynamo"};
const char* const kEightBits =
    R"({"weights": {"": "nearest,8,6"}, "extrinsic": {"": "nearest,8,4"}})";
const char* const kScaled = R"({
  "weights": {"": "int,8,per=channel,scale=max"}, "extrinsic": {"": "int,8,scale=max"}})";
// The zeros around a shortcut are a layer of ours, and Pad in a file, which "" does not hit: a
// scale of the shortcut is found in half of the rows and columns.
const char* const kScaledWithPad = R"({
  "weights": {"": "int,8,per=channel,scale=max"},
  "extrinsic": {"": "int,8,scale=max", "op:Pad": "int,8,scale=max"}})";
const char* const kScaledWithoutShortcut = R"({
  "weights": {"": "int,8,per=channel,scale=max"},
  "extrinsic": {"shortcut": null, "": "int,8,scale=max"}})";
const char* const kOnce = R"({
  "weights": {"re:conv|linear": "nearest,8,6"},
  "extrinsic": {"": "nearest,12,6"},
  "intrinsic": {"re:conv|linear": {"accumulator": "even,24,12", "accumulate": "once"}}})";

// Ours names activations after their places, a file after their operators.
void expect_same(const Outputs& ours, const Outputs& others) {
  std::size_t shared = 0;
  for (const auto& [name, y] : ours) {
    const auto found = others.find(name);
    if (found == others.end()) continue;
    ++shared;
    EXPECT_TRUE(at::equal(y, found->second)) << "'" << name << "'";
  }
  EXPECT_GE(shared, 40U);  // 19 convolutions, 19 batch normalizations, linear, the model
}

class ResNet20 : public testing::TestWithParam<const char*> {};

TEST_P(ResNet20, OfAFileWithBatchNormsIsOursToTheBit) {
  SKIP_IF_MISSING(weights());
  expect_same(outputs_of_ours(GetParam()), outputs_of_file("resnet20_legacy_bn", GetParam()));
}

std::string name_of_maps(const testing::TestParamInfo<const char*>& info) {
  const char* const names[] = {"InFloat", "InEightBits", "WithScales", "WithScalesButOfShortcuts",
                               "WithOneRoundingASum"};
  return names[info.index];
}

INSTANTIATE_TEST_SUITE_P(, ResNet20,
                         testing::Values("{}", kEightBits, kScaledWithPad, kScaledWithoutShortcut,
                                         kOnce),
                         name_of_maps);

// Folded weights are others, and so are the numbers that they are quantized to.
TEST(ResNet20Test, OfAllFilesHasTheSameClassesUnderOneMap) {
  SKIP_IF_MISSING(weights());
  for (const char* const maps : {"{}", kScaled}) {
    const at::Tensor ours = outputs_of_ours(maps).at("");
    for (const char* const name : kFiles) {
      const Outputs found = outputs_of_file(name, maps);
      EXPECT_TRUE(at::equal(found.at("").argmax(1), ours.argmax(1))) << name << " " << maps;
    }
  }
}

}  // namespace
}  // namespace tensorquant
