#ifndef TENSORQUANT_CLI_SEARCHED_FILE_H_
#define TENSORQUANT_CLI_SEARCHED_FILE_H_

#include <memory>
#include <vector>

#include "tensorquant/cli/searched_model.h"
#include "tensorquant/onnx_torch/onnx_model.h"

namespace tensorquant::cli {

// An ONNX file whose first output has a row for each sample: the logits of classes, or what a
// Softmax makes of them. Errors where it has not show when samples are loaded.
class SearchedFile : public SearchedModel {
 public:
  explicit SearchedFile(const ModelSource& source);

  torch::nn::Module& module() override { return *model_; }
  std::vector<LayerFacts> facts(const std::string& data) override;
  SearchedSamples load(const ImageSet& set, std::size_t batch_size) override;

 private:
  std::shared_ptr<const OnnxData> read(const ImageSet& set, std::size_t batch_size) const;
  std::vector<ClassifierRuns::Stage> stages() const;

  ModelSource source_;
  std::shared_ptr<OnnxModel> model_;
};

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_SEARCHED_FILE_H_
