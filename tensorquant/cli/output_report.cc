#include "tensorquant/cli/output_report.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "tensorquant/base/error.h"
#include "tensorquant/base/table.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/onnx/wire/tensor.h"

namespace tensorquant::cli {
namespace {

std::string shape_of(const at::Tensor& x) {
  return onnx::to_string({x.sizes().data(), x.sizes().size()});
}

// Of numbers of any type; integers are compared as they are.
double largest_difference(const at::Tensor& found, const at::Tensor& expected) {
  if (found.is_floating_point()) {
    const at::Tensor a = found.to(at::kDouble), b = expected.to(at::kDouble);
    const at::Tensor is_equal = a.eq(b).logical_or(a.isnan().logical_and(b.isnan()));  // infinities
    return at::where(is_equal, at::zeros_like(a), (a - b).abs()).max().item<double>();
  }
  const at::Tensor a = found.to(at::kLong), b = expected.to(at::kLong);
  const at::Tensor difference = at::maximum(a, b) - at::minimum(a, b);  // modulo 2^64
  const at::Tensor number = difference.to(at::kDouble);
  return at::where(difference < 0, number + 0x1p64, number).max().item<double>();
}

std::string number_or_dash(const std::optional<double>& x, const char* format) {
  return x ? cell(format, *x) : "-";
}

}  // namespace

void OutputReport::add(const at::Tensor& found, const at::Tensor& expected) {
  if (!found.sizes().equals(expected.sizes()) ||
      found.is_floating_point() != expected.is_floating_point()) {
    throw Error("output '" + name_ + "' is " + at::toString(found.scalar_type()) + shape_of(found) +
                ", to be compared with " + at::toString(expected.scalar_type()) +
                shape_of(expected));
  }
  if (shape_.empty()) shape_ = shape_of(found);
  if (found.numel() == 0) return;
  const double largest = largest_difference(found, expected);
  // A NaN stays the largest.
  if (!(largest <= largest_difference_) && !std::isnan(largest_difference_)) {
    largest_difference_ = largest;
  }
  if (!found.is_floating_point()) return;
  const at::Tensor wanted = expected.to(at::kDouble), noise = found.to(at::kDouble) - wanted;
  signal_ += wanted.square().sum().item<double>();
  noise_ += noise.square().sum().item<double>();
  if (found.dim() < 2) return;
  const at::Tensor same = found.argmax(-1) == expected.argmax(-1);
  equal_rows_ += same.sum().item<std::int64_t>();
  rows_ += same.numel();
}

std::optional<double> OutputReport::decibels() const {
  if (noise_ > 0 && signal_ > 0) return 10 * std::log10(signal_ / noise_);
  return {};
}

std::optional<double> OutputReport::agreement() const {
  if (rows_ == 0) return {};
  return static_cast<double>(equal_rows_) / static_cast<double>(rows_);
}

std::string OutputReport::table(const std::vector<OutputReport>& reports) {
  std::vector<std::vector<std::string>> rows;
  for (const OutputReport& one : reports) {
    std::optional<double> share = one.agreement();
    if (share) *share *= 100;
    rows.push_back({one.name_, one.shape_, number_or_dash(one.largest_difference_, "%.6g"),
                    number_or_dash(one.decibels(), "%.2f dB"), number_or_dash(share, "%.2f %%")});
  }
  return format_table({"output", "shape", "largest difference", "signal to noise", "first place"},
                      rows);
}

nlohmann::ordered_json OutputReport::json(const std::vector<OutputReport>& reports) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const OutputReport& one : reports) {
    rows.push_back({{"output", one.name_},
                    {"shape", one.shape_},
                    {"largest_difference", one.largest_difference_},
                    {"signal_to_noise", or_null(one.decibels())},
                    {"agreement", or_null(one.agreement())}});
  }
  return rows;
}

double score(Metric metric, const at::Tensor& output, const at::Tensor& labels) {
  const std::string both =
      "the first output is " + shape_of(output) + ", the labels are " + shape_of(labels);
  if (metric == Metric::mse) {
    if (!output.sizes().equals(labels.sizes())) throw Error(both + ": no mean square error");
    return (output.to(at::kDouble) - labels.to(at::kDouble)).square().mean().item<double>();
  }
  const bool fits = output.dim() == 2 && labels.dim() == 1 && output.size(0) == labels.size(0) &&
                    output.size(1) > 0;
  if (!fits) throw Error(both + ": classes take [samples, classes] and [samples]");
  const std::int64_t places =
      metric == Metric::top1 ? 1 : std::min<std::int64_t>(5, output.size(1));
  const at::Tensor first =
      places == 1 ? output.argmax(1, /*keepdim=*/true) : std::get<1>(output.topk(places, 1));
  const at::Tensor hits = first.eq(labels.to(at::kLong).unsqueeze(1)).any(1);
  return hits.to(at::kDouble).mean().item<double>();
}

}  // namespace tensorquant::cli
