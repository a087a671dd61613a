#ifndef TENSORQUANT_CLI_TRAIN_ONNX_H_
#define TENSORQUANT_CLI_TRAIN_ONNX_H_

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "tensorquant/cli/model_options.h"
#include "tensorquant/cli/onnx_data.h"
#include "tensorquant/models/training.h"
#include "tensorquant/onnx/wire/model.h"
#include "tensorquant/onnx_torch/onnx_model.h"

namespace tensorquant::cli {

// An ONNX file whose weights are trained.
class OnnxTraining {
 public:
  // Without the maps in its metadata, of onnx::take_maps(); whether it had some, and what is
  // written is to have those of the training. Warnings of the model and of the maps go to stderr.
  OnnxTraining(onnx::ModelProto file, const std::string& path, onnx::NameSource names,
               const Override& maps, bool keeps_maps);

  // The model learns that its first output is the logits of the samples' classes. Error where the
  // data have no classes, or do not fit the model. The data must outlive the task.
  TrainingTask task(const OnnxData& data) const;
  const OnnxModel& model() const { return *model_; }

  // The file with the weights as they are now. Error as of onnx::replace_constants() and
  // onnx::write_model().
  void save(const std::filesystem::path& path) const;

 private:
  onnx::ModelProto file_;
  std::optional<Override> kept_;  // what stands in the metadata of the written file
  std::shared_ptr<OnnxModel> model_;
};

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_TRAIN_ONNX_H_
