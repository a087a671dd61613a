#include "tensorquant/cli/train_onnx.h"

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/onnx/export/kept_maps.h"
#include "tensorquant/onnx/graph/replace_constants.h"

namespace tensorquant::cli {
namespace {

void check_classes(const at::Tensor& logits, const at::Tensor& labels) {
  if (logits.dim() != 2 || !logits.is_floating_point()) {
    const auto sizes = logits.sizes();
    throw Error("the first output is " + onnx::to_string({sizes.data(), sizes.size()}) +
                ": training takes the logits of classes, [samples, classes]");
  }
  const auto least = labels.min().item<std::int64_t>(), most = labels.max().item<std::int64_t>();
  if (least >= 0 && most < logits.size(1)) return;
  throw Error("labels from " + std::to_string(least) + " to " + std::to_string(most) + " for " +
              std::to_string(logits.size(1)) + " classes");
}

}  // namespace

OnnxTraining::OnnxTraining(onnx::ModelProto file, const std::string& path, onnx::NameSource names,
                           const Override& maps, bool keeps_maps)
    : file_(std::move(file)), model_(make_onnx_model(file_, path, {.names = names})) {
  if (keeps_maps) kept_ = maps;
  for (const std::string& warning : model_->warnings()) warn(warning);
  {
    // Tensors of the file that several layers or other nodes read become each layer's own.
    const at::NoGradGuard no_gradients;
    for (at::Tensor& parameter : model_->parameters()) parameter.set_data(parameter.clone());
  }
  // What cannot be written is an error before anything is learned.
  onnx::ModelProto probe = file_;
  onnx::replace_constants(probe, model_->constants());
  apply_maps(*model_, maps);
}

TrainingTask OnnxTraining::task(const OnnxData& data) const {
  if (!data.labels().defined() || data.labels().is_floating_point() || data.labels().dim() != 1) {
    throw Error("training needs the class of each sample, one integer each: --labels");
  }
  if (data.batch_size() == 0) throw Error("the data cannot be cut into samples to train on");
  const at::Tensor labels = data.labels().to(at::kLong);
  {
    const at::NoGradGuard no_gradients;
    check_classes(model_->forward(data.inputs(std::size_t{0})).front(), labels);
  }
  TrainingTask task;
  task.model = model_;
  task.count = data.samples();
  task.logits = [model = model_, &data](TrainingTask::Samples samples) {
    return model->forward(data.inputs(samples)).front();
  };
  task.labels = [labels](TrainingTask::Samples samples) {
    const std::vector<std::int64_t> numbers(samples.begin(), samples.end());
    return labels.index_select(0, at::tensor(numbers, at::kLong));
  };
  return task;
}

void OnnxTraining::save(const std::filesystem::path& path) const {
  onnx::ModelProto trained = file_;
  onnx::replace_constants(trained, model_->constants());
  if (kept_) onnx::keep_maps(trained, *kept_);
  onnx::write_model(path, trained);
}

}  // namespace tensorquant::cli
