#include "tensorquant/cli/image_options.h"

#include <ATen/ATen.h>

#include <functional>
#include <numeric>

#include "tensorquant/base/error.h"
#include "tensorquant/cli/number_option.h"

namespace tensorquant::cli {
namespace {

using Sizes = std::vector<std::int64_t>;

// Whether the sizes are those that the file declares, as far as it does; of the first axis not.
bool fits(const std::vector<onnx::Dimension>& shape, const Sizes& sizes) {
  if (shape.size() != sizes.size()) return false;
  for (std::size_t i = 1; i < sizes.size(); ++i) {
    const auto* wanted = std::get_if<std::int64_t>(&shape[i]);
    if (wanted != nullptr && *wanted >= 0 && *wanted != sizes[i]) return false;
  }
  return true;
}

Sizes turned(const Sizes& sizes, const Sizes& axes) {
  Sizes result;
  for (const std::int64_t axis : axes) result.push_back(sizes[static_cast<std::size_t>(axis)]);
  return result;
}

// The sizes of a sample where the file declares them all; else nothing.
Sizes known_sizes(const std::vector<onnx::Dimension>& shape) {
  Sizes sizes;
  for (std::size_t i = 1; i < shape.size(); ++i) {
    const auto* size = std::get_if<std::int64_t>(&shape[i]);
    if (size == nullptr || *size < 0) return {};
    sizes.push_back(*size);
  }
  return sizes;
}

std::int64_t product(const Sizes& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>());
}

// One number for all channels, or one for each, so that it can be taken from a batch.
at::Tensor of_channels(const std::string& option, const std::vector<double>& numbers,
                       std::int64_t channels, std::size_t axis, std::size_t rank,
                       const std::string& input) {
  if (numbers.empty()) return {};
  const auto count = static_cast<std::int64_t>(numbers.size());
  if (count != 1 && count != channels) {
    throw CLI::ValidationError(option, std::to_string(count) + " numbers for the " +
                                           std::to_string(channels) + " channels of input '" +
                                           input + "'");
  }
  Sizes sizes(rank, 1);
  sizes[axis] = count;
  return at::tensor(std::vector<float>(numbers.begin(), numbers.end()), at::kFloat).view(sizes);
}

}  // namespace

at::Tensor Preparation::operator()(const at::Tensor& batch) const {
  at::Tensor x = batch;
  if (makes_floats) {
    x = x.to(at::kFloat);
    x = scale == 0 ? x / 255.0F : x * scale;
    if (mean.defined()) x = x - mean;
    if (deviation.defined()) x = x / deviation;
  }
  if (!axes.empty()) x = x.permute(axes).contiguous();
  if (!sizes_of_sample.empty()) {
    Sizes sizes = sizes_of_sample;
    sizes.insert(sizes.begin(), x.size(0));
    x = x.reshape(sizes);
  }
  return x;
}

void ImageOptions::add_to(CLI::App& command) {
  const char* group = "ONNX files";
  command
      .add_option(
          "--layout", layout,
          "Order of the axes of images in the data; they are turned where the model's input "
          "has the other one")
      ->check(CLI::IsMember({"nchw", "nhwc"}))
      ->capture_default_str()
      ->group(group);
  add_numbers(
      command, "--mean", mean,
      "Of uint8 data for an input of floats, which gets (pixel * SCALE - MEAN) / DEVIATION: "
      "one number, or one for each channel")
      ->group(group);
  add_numbers(command, "--deviation", deviation, "Likewise; 1 if left out")->group(group);
  add_positive(command, "--scale", scale, "Likewise; 1/255 if left out")->group(group);
}

Preparation ImageOptions::preparation(const OnnxModel::Port& input, const at::Tensor& data) const {
  Preparation result;
  const Sizes sizes = data.sizes().vec();
  result.makes_floats =
      data.scalar_type() == at::kByte && input.type && input.type->element == onnx::DataType::f32;
  if (result.makes_floats) {
    const bool is_image = sizes.size() == 4;
    const std::size_t axis = is_image ? (layout == "nchw" ? 1 : 3) : 0;
    const std::int64_t channels = is_image ? sizes[axis] : 1;
    result.scale = scale;
    result.mean = of_channels("--mean", mean, channels, axis, sizes.size(), input.name);
    result.deviation =
        of_channels("--deviation", deviation, channels, axis, sizes.size(), input.name);
  }
  if (!input.type || !input.type->shape || sizes.size() != 4) return result;
  const std::vector<onnx::Dimension>& shape = *input.type->shape;
  if (fits(shape, sizes)) return result;
  const Sizes axes = layout == "nchw" ? Sizes{0, 2, 3, 1} : Sizes{0, 3, 1, 2};
  const Sizes known = known_sizes(shape);
  const bool has_one_channel = sizes[layout == "nchw" ? 1 : 3] == 1;
  const bool takes_images = shape.size() == sizes.size();
  if (fits(shape, turned(sizes, axes))) {
    result.axes = axes;
  } else if (has_one_channel && !takes_images && !known.empty() &&
             product(known) == product({sizes.begin() + 1, sizes.end()})) {
    result.sizes_of_sample = known;  // of rows of pixels, or of no channels
  }
  return result;
}

}  // namespace tensorquant::cli
