#include "tensorquant/onnx_torch/onnx_model.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "tensorquant/base/test_files.h"
#include "tensorquant/data/npy.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/libtorch/model/summary.h"
#include "tensorquant/models/tensor_array.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;

std::filesystem::path models_folder() { return large_folder() / "onnx_models"; }

std::vector<at::Tensor> arrays(const std::filesystem::path& folder, const std::string& kind) {
  std::vector<at::Tensor> found;
  for (int i = 0;; ++i) {
    const auto path = folder / (kind + "_" + std::to_string(i) + ".npy");
    if (!std::filesystem::exists(path)) return found;
    found.push_back(to_tensor(read_npy(path)));
  }
}

class AStoredModel : public testing::TestWithParam<const char*> {};

TEST_P(AStoredModel, GivesTheOutputsOfAnotherEngine) {
  const std::filesystem::path folder = models_folder() / GetParam();
  SKIP_IF_MISSING(folder);
  const at::NoGradGuard no_gradients;
  const auto model = load_onnx(folder / "model.onnx");
  const std::vector<at::Tensor> found = model->forward(arrays(folder, "input"));
  const std::vector<at::Tensor> expected = arrays(folder, "output");
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].sizes(), expected[i].sizes());
    const double largest = expected[i].abs().max().item<double>();
    EXPECT_LE((found[i] - expected[i]).abs().max().item<double>(), 1e-4 * largest) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(OnnxModelTest, AStoredModel,
                         testing::Values("ppocr_cls", "random_bert_legacy", "random_k_attn_tf2onnx",
                                         "random_llama_dynamo", "resnet20_dynamo",
                                         "resnet20_legacy", "resnet20_legacy_bn", "spindle_eeg"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace tensorquant
