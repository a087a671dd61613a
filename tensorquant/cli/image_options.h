#ifndef TENSORQUANT_CLI_IMAGE_OPTIONS_H_
#define TENSORQUANT_CLI_IMAGE_OPTIONS_H_

#include <ATen/core/Tensor.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "tensorquant/onnx_torch/onnx_model.h"

namespace tensorquant::cli {

// What is done to a batch before a model gets it: (pixel * scale - mean) / deviation of uint8 data
// for an input of floats, and the order of axes that the input has.
struct Preparation {
  at::Tensor operator()(const at::Tensor& batch) const;

  bool makes_floats = false;
  double scale = 0;                           // 0: pixel / 255
  at::Tensor mean, deviation;                 // undefined: 0 and 1; else they fit the batch
  std::vector<std::int64_t> axes;             // empty: as they are
  std::vector<std::int64_t> sizes_of_sample;  // empty: as they are
};

// --layout, --mean, --deviation, --scale.
struct ImageOptions {
  void add_to(CLI::App& command);
  // For data of those sizes and type. Error, with the name of the input, where there is not one
  // mean or deviation for all channels or one for each.
  Preparation preparation(const OnnxModel::Port& input, const at::Tensor& data) const;

  std::string layout = "nchw";
  std::vector<double> mean, deviation;
  double scale = 0;
};

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_IMAGE_OPTIONS_H_
