#include "tensorquant/models/checkpoint.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tensorquant/data/test_files.h"
#include "tensorquant/models/model.h"
#include "tensorquant/models/tensor_array.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;

class Checkpoint : public FileTest {
 protected:
  static bool equal(const torch::nn::Module& a, const torch::nn::Module& b) {
    const auto first = weights_of(a), second = weights_of(b);
    if (first.size() != second.size()) return false;
    for (const auto& [name, array] : first) {
      if (second.at(name).bytes != array.bytes) return false;
    }
    return true;
  }

  std::shared_ptr<ImageClassifier> a = make_model(find_model("resnet20"), 1);
  std::shared_ptr<ImageClassifier> b = make_model(find_model("resnet20"), 2);
};

TEST_F(Checkpoint, GivesBackEveryBit) {
  ASSERT_FALSE(equal(*a, *b));
  a->named_buffers()["bn1.num_batches_tracked"].fill_(7);
  save_checkpoint(*a, folder / "a.safetensors", {{"training", "{}"}});
  load_checkpoint(*b, folder / "a.safetensors");
  EXPECT_TRUE(equal(*a, *b));
  const Safetensors file = read_safetensors(folder / "a.safetensors");
  EXPECT_EQ(file.tensors.at("layer1.0.conv1.weight").dtype, DType::f32);
  EXPECT_EQ(file.metadata.at("format"), "pt");
  EXPECT_EQ(file.metadata.at("training"), "{}");
}

TEST_F(Checkpoint, MayLackTheNumberOfBatches) {
  auto weights = weights_of(*a);
  EXPECT_GT(std::erase_if(weights,
                          [](const auto& w) { return w.first.ends_with("num_batches_tracked"); }),
            0U);
  set_weights(*b, weights, "a");
  EXPECT_TRUE(equal(*a, *b));
}

TEST_F(Checkpoint, NamesAllThatDoesNotFitAndChangesNothing) {
  auto weights = weights_of(*a);
  const auto unchanged = weights_of(*b);
  weights.erase("linear.bias");
  weights["linear.scale"] = make_array<float>({1}, std::vector<float>{1});
  weights["bn1.weight"] = make_array<float>({2}, std::vector<float>{1, 2});
  weights["bn1.bias"] = make_array<double>({16}, std::vector<double>(16));
  EXPECT_EQ(error_of([&] { set_weights(*b, weights, "net.safetensors"); }),
            "net.safetensors: does not fit the model: 'bn1.bias' is f64 instead of f32, "
            "'bn1.weight' has shape (2,) instead of (16,), 'linear.bias' is missing, "
            "'linear.scale' is unexpected");
  for (const auto& [name, array] : weights_of(*b)) {
    EXPECT_EQ(array.bytes, unchanged.at(name).bytes) << name;
  }
}

TEST_F(Checkpoint, OfAnotherModelIsAnError) {
  save_checkpoint(*make_model(find_model("lenet5")), folder / "lenet5.safetensors");
  EXPECT_THAT(
      error_of([&] { load_checkpoint(*a, folder / "lenet5.safetensors"); }),
      testing::AllOf(HasSubstr("'linear.weight' is missing"), HasSubstr("'fc1.bias' is unexpected"),
                     HasSubstr("'conv1.weight' has shape (6, 1, 5, 5) instead of "
                               "(16, 3, 3, 3)")));
  EXPECT_THAT(error_of([&] { load_checkpoint(*a, folder / "none"); }), HasSubstr("none"));
}

TEST(TensorArray, GivesBackEveryType) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kInt, at::kLong, at::kByte}) {
    const at::Tensor x = at::arange(6).view({2, 3}).t().to(type);
    EXPECT_TRUE(at::equal(to_tensor(to_array(x)), x)) << type;
  }
  EXPECT_EQ(to_array(at::zeros({2, 0})).shape, (Shape{2, 0}));
  EXPECT_EQ(to_tensor(to_array(at::zeros({}))).dim(), 0);
  EXPECT_THROW(to_array(at::zeros({1}, at::kHalf)), Error);
}

}  // namespace
}  // namespace tensorquant
