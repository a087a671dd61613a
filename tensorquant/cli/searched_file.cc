#include "tensorquant/cli/searched_file.h"

#include <ATen/ATen.h>

#include <limits>
#include <span>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/base/sha256.h"
#include "tensorquant/libtorch/model/apply.h"
#include "tensorquant/onnx/export/kept_maps.h"

namespace tensorquant::cli {
namespace {

using Tensors = ClassifierRuns::Tensors;

void require_logits(const std::string& path, const Tensors& outputs, std::int64_t samples) {
  const at::Tensor& first = outputs.front();
  if (first.dim() == 2 && first.size(0) == samples && first.scalar_type() == at::kFloat) return;
  const auto sizes = first.sizes();
  throw Error(path + ": its first output is " + at::toString(first.scalar_type()) +
              onnx::to_string({sizes.data(), sizes.size()}) +
              ": a search compares float32 rows, one for each of " + std::to_string(samples) +
              " samples");
}

std::vector<std::int64_t> classes_in(const at::Tensor& labels, const std::string& path) {
  if (!labels.defined()) return {};
  if (labels.is_floating_point() || labels.dim() != 1) {
    throw Error(path + ": labels that are not one class of each sample");
  }
  const at::Tensor all = labels.to(at::kLong).contiguous();
  return {all.data_ptr<std::int64_t>(), all.data_ptr<std::int64_t>() + all.numel()};
}

}  // namespace

SearchedFile::SearchedFile(const ModelSource& source) : source_(source) {
  onnx::ModelProto file = onnx::read_model(source.model);
  const std::string bytes = onnx::serialize_model(file);  // external data too
  fingerprint = sha256(std::as_bytes(std::span(bytes)));
  if (onnx::take_maps(file, source.model)) {
    note(source.model + ": the maps in its metadata are left out");
  }
  model_ = make_onnx_model(std::move(file), source.model, {.names = source.names.source()});
  for (const std::string& warning : model_->warnings()) warn(warning);
}

std::vector<LayerFacts> SearchedFile::facts(const std::string& data) {
  strip(*model_);
  return model_->layer_facts(data.empty() ? source_.onnx.zeros(*model_)
                                          : read({data}, 1)->inputs(std::size_t{0}));
}

std::shared_ptr<const OnnxData> SearchedFile::read(const ImageSet& set,
                                                   std::size_t batch_size) const {
  OnnxDataOptions::Given given;
  given.data = set.path;
  given.batch_size = batch_size;
  given.split = set.split;
  return std::make_shared<const OnnxData>(
      source_.onnx.read(*model_, given, [&set](std::size_t count) {
        return OnnxDataOptions::Part{set.first, samples_of_set(set, count)};
      }));
}

SearchedSamples SearchedFile::load(const ImageSet& set, std::size_t batch_size) {
  const at::NoGradGuard no_gradients;
  const std::shared_ptr<const OnnxData> data = read(set, batch_size);
  if (data->batch_size() == 0) throw Error(set.path + ": cannot be cut into samples");

  SearchedSamples samples = {set, {}, data->fingerprint(), nullptr, data};
  samples.set.images = data->samples();
  ClassifierRuns& runs = samples.runs;
  runs.model = model_.get();
  runs.stages = stages();
  runs.samples = data->samples();
  runs.batches = data->runs();
  runs.inputs = [data = data.get()](std::size_t batch) { return data->inputs(batch); };
  runs.labels = classes_in(data->labels(), set.path);
  const Tensors first = data->inputs(std::size_t{0});
  require_logits(source_.model, model_->forward(first), first.front().size(0));
  return samples;
}

std::vector<ClassifierRuns::Stage> SearchedFile::stages() const {
  std::vector<ClassifierRuns::Stage> stages = model_->stages();
  const bool has_softmax = model_->output_operators().front() == "Softmax";
  stages.back() = [run = std::move(stages.back()), has_softmax](Tensors x) {
    const at::Tensor y = run(std::move(x)).front();
    // Logarithms of probabilities are logits.
    return Tensors{has_softmax ? y.clamp_min(std::numeric_limits<float>::min()).log() : y};
  };
  return stages;
}

}  // namespace tensorquant::cli
