#include <gmock/gmock.h>

#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/onnx_torch/test_models.h"

namespace tensorquant {
namespace {

// Every input that a stage gets is kept, as those keep them who go on from the middle.
void expect_the_same(const OnnxModel& model, const at::Tensor& input, std::size_t stages) {
  const at::NoGradGuard no_gradients;
  const at::Tensor expected = model.forward({input.clone()}).front();
  const std::vector<OnnxModel::Stage> all = model.stages();
  EXPECT_EQ(all.size(), stages);
  std::vector<std::vector<at::Tensor>> kept = {{input.clone()}};
  for (const OnnxModel::Stage& stage : all) kept.push_back(stage(kept.back()));
  EXPECT_TRUE(kept.back().front().equal(expected));
  for (std::size_t first = 0; first < all.size(); ++first) {
    std::vector<at::Tensor> x = kept[first];
    for (std::size_t i = first; i < all.size(); ++i) x = all[i](x);
    EXPECT_TRUE(x.front().equal(expected)) << first;
  }
}

// Nothing can be cut where a shortcut passes by.
TEST(OnnxStages, AreTheModelInParts) {
  const auto matrix = [](const std::string& name, float scale) {
    std::vector<float> values;
    for (int i = 0; i < 16; ++i) values.push_back(scale * static_cast<float>(i % 7 - 3));
    return floats(name, {4, 4}, values);
  };
  const auto model = make_onnx_model(
      model_of({node("MatMul", {"x", "u"}, {"a"}, "first"), node("Relu", {"a"}, {"b"}),
                node("MatMul", {"b", "v"}, {"c"}, "second"), node("Relu", {"c"}, {"d"}),
                node("MatMul", {"d", "w"}, {"e"}, "third"), node("Add", {"b", "e"}, {"f"}),
                node("MatMul", {"f", "u"}, {"y"}, "fourth")},
               {matrix("u", 0.5), matrix("v", 0.25), matrix("w", 1)}),
      "net.onnx");
  const at::Tensor x = at::arange(12, at::kFloat).view({3, 4}) - 5;
  expect_the_same(*model, x, 3);  // in front of second and fourth
  apply(
      model,
      Override::from_json(
          R"({"weights": "nearest,4,1", "extrinsic": {"=input:x": "nearest,3,0", ".*": "nearest,6,2"}})"));
  expect_the_same(*model, x, 3);
}

}  // namespace
}  // namespace tensorquant
