#ifndef TENSORQUANT_CLI_ONNX_DATA_H_
#define TENSORQUANT_CLI_ONNX_DATA_H_

#include <ATen/core/Tensor.h>

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/cli/image_options.h"
#include "tensorquant/data/dataset.h"
#include "tensorquant/onnx_torch/onnx_model.h"

// What an ONNX model is run on: arrays, images, ONNX's own test data or random numbers.
namespace tensorquant::cli {

class OnnxData {
 public:
  using Tensors = std::vector<at::Tensor>;  // in the order of the model's inputs, or outputs

  // Runs of the model, and what it gets in one of them.
  std::size_t runs() const;
  Tensors inputs(std::size_t run) const;
  // The samples of those numbers; data that cannot be cut into samples have one, all of them.
  Tensors inputs(std::span<const std::size_t> samples) const;
  std::size_t samples() const { return count_; }
  std::size_t batch_size() const { return batch_; }  // 0: a run takes all there is

  const at::Tensor& labels() const { return labels_; }  // undefined: there are none
  // What a file says that the outputs of a run should be; empty: nothing.
  const std::vector<Tensors>& stored_outputs() const { return stored_; }

  // Tells data apart by the numbers that the model gets, in these batches, and the labels.
  std::string fingerprint() const;

 private:
  friend class OnnxDataReader;
  Tensors prepared(const Tensors& raw) const;

  std::vector<Tensors> sets_;  // one, or one for each run
  std::vector<Tensors> stored_;
  std::vector<Preparation> preparations_;  // for each input
  at::Tensor labels_;
  std::size_t count_ = 1, batch_ = 0;
};

struct OnnxDataOptions {
  // Of these, --data, --limit and --batch-size belong to the command.
  struct Given {
    std::string data;
    std::size_t limit = 0;  // 0: all
    std::size_t batch_size = 128;
    std::uint64_t seed = 0;
    Split split = Split::test;
  };

  // Samples of those that there are.
  struct Part {
    std::size_t first = 0, count = 0;
  };
  using ChoosePart = std::function<Part(std::size_t samples)>;

  void add_to(CLI::App& command);
  void add_dims_to(CLI::App& command);  // --dim alone
  static std::vector<const char*> names();
  // Notes go to stderr. Faults that the files have are Errors, those of the command line
  // CLI::ValidationError. `part` takes the place of Given::limit.
  OnnxData read(const OnnxModel& model, const Given& given, const ChoosePart& part = {}) const;
  // As many samples as the file fixes for a batch, one where it does not: zeros, of the types and
  // sizes that the file declares. Error where it does not declare them.
  OnnxData::Tensors zeros(const OnnxModel& model) const;

  // What was given, by the options' names.
  nlohmann::ordered_json told() const;
  // Takes what another run told, but for options that `is_given` says stand on this command line;
  // where one of these says what the model is run on, --data among them, it alone does.
  void take_over(const nlohmann::ordered_json& told,
                 const std::function<bool(const char*)>& is_given);

  std::vector<std::string> inputs;  // NAME=FILE
  std::vector<std::string> dims;    // NAME=SIZE
  std::string labels;
  std::size_t random = 0;  // samples; 0: none
  ImageOptions images;
};

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_ONNX_DATA_H_
