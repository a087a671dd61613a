#include "tensorquant/models/checkpoint.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tensorquant/base/test_files.h"
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

TEST_F(Checkpoint, InHalfPrecisionIsReadExactly) {
  // 1.5, -2 and 0 in the bits of binary16 and of bfloat16.
  const std::vector<std::pair<DType, std::vector<std::uint16_t>>> halves = {
      {DType::f16, {0x3e00, 0xc000, 0}}, {DType::bf16, {0x3fc0, 0xc000, 0}}};
  for (const auto& [dtype, bits] : halves) {
    std::map<std::string, Array> weights = weights_of(*a);
    std::vector<std::uint16_t> numbers(16, bits[0]);
    numbers[1] = bits[1];
    numbers[2] = bits[2];
    weights["bn1.bias"] = make_array(dtype, {16}, std::as_bytes(std::span(numbers)));
    write_safetensors(folder / "half", {weights, {}});
    const Conversion conversion = load_checkpoint(*b, folder / "half");
    EXPECT_EQ(conversion.tensors, 1U);
    EXPECT_EQ(conversion.numbers, 16U);
    EXPECT_EQ(conversion.rounded, 0U);
    std::vector<float> expected(16, 1.5F);
    expected[1] = -2;
    expected[2] = 0;
    weights["bn1.bias"] = make_array<float>({16}, expected);
    for (const auto& [name, array] : weights_of(*b)) {
      EXPECT_EQ(array.bytes, weights.at(name).bytes) << name;
    }
  }
}

TEST_F(Checkpoint, InFloat64IsRoundedAndTheRoundedNumbersAreCounted) {
  std::map<std::string, Array> weights = weights_of(*a);
  std::vector<double> bias(16, 0.25);
  bias[1] = 0.1;
  bias[2] = 1 + 0x1p-24;
  weights["bn1.bias"] = make_array<double>({16}, bias);
  write_safetensors(folder / "wide", {weights, {}});
  EXPECT_EQ(load_checkpoint(*b, folder / "wide").rounded, 2U);
  const Array read = weights_of(*b).at("bn1.bias");
  EXPECT_EQ(read.as<float>()[1], 0.1F);
  EXPECT_EQ(read.as<float>()[2], 1);
  weights["bn1.bias"] = make_array<std::int32_t>({16}, std::vector<std::int32_t>(16));
  write_safetensors(folder / "integers", {weights, {}});
  EXPECT_THAT(error_of([&] { load_checkpoint(*b, folder / "integers"); }),
              HasSubstr("'bn1.bias' is i32 instead of f32"));
}

TEST_F(Checkpoint, ItsNonFiniteNumbersAreCountedAndTheFirstTensorIsNamed) {
  EXPECT_EQ(non_finite_weights(*a).count, 0U);
  EXPECT_EQ(non_finite_weights(*a).first, "");
  a->named_buffers()["bn1.running_var"][3].fill_(std::numeric_limits<float>::infinity());
  EXPECT_EQ(non_finite_weights(*a).first, "bn1.running_var");
  const at::NoGradGuard no_grad;
  a->named_parameters()["linear.weight"][0].fill_(std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(non_finite_weights(*a).count, 1U + 64U);
  EXPECT_EQ(non_finite_weights(*a).first, "linear.weight");
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
