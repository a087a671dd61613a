// Networks that others trained, against the accuracy and the logits of a second float32 engine.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tensorquant/base/test_files.h"
#include "tensorquant/data/npy.h"
#include "tensorquant/models/checkpoint.h"
#include "tensorquant/models/evaluation.h"
#include "tensorquant/models/tensor_array.h"

namespace tensorquant {
namespace {

struct Reference {
  std::string model, checkpoint, data, logits;
  std::size_t images, correct;
};

void PrintTo(const Reference& reference, std::ostream* out) { *out << reference.model; }

class TrainedNetwork : public testing::TestWithParam<Reference> {};

TEST_P(TrainedNetwork, HasTheAccuracyAndLogitsOfTheSecondEngine) {
  const Reference& reference = GetParam();
  SKIP_IF_MISSING(large_folder() / reference.checkpoint);
  const ModelInfo& info = find_model(reference.model);
  const auto model = make_model(info);
  load_checkpoint(*model, large_folder() / reference.checkpoint);
  const ImageDataset data = load_image_dataset(large_folder() / reference.data, Split::test);
  const Evaluation result = evaluate(info, *model, data, 128);
  EXPECT_EQ(result.images, reference.images);
  EXPECT_EQ(result.correct, reference.correct);
  const at::Tensor expected = to_tensor(read_npy(large_folder() / reference.logits));
  EXPECT_LT((result.logits - expected).abs().max().item<double>(), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(
    , TrainedNetwork,
    testing::Values(Reference{"lenet5", "mnist_lenet5/lenet5.safetensors", "mnist",
                              "mnist_lenet5/lenet5_t10k_float_logits.npy", 10000, 9854},
                    Reference{"resnet20", "cifar10_resnet20_32/resnet20.safetensors",
                              "cifar10/cifar10_test_first1000.bin",
                              "cifar10_resnet20_32/resnet20_test1000_float_logits.npy", 1000, 915},
                    Reference{"resnet32", "cifar10_resnet20_32/resnet32.safetensors",
                              "cifar10/cifar10_test_first1000.bin",
                              "cifar10_resnet20_32/resnet32_test1000_float_logits.npy", 1000, 928}),
    [](const auto& info) { return info.param.model; });

}  // namespace
}  // namespace tensorquant
