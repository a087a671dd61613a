#ifndef TENSORQUANT_CLI_OUTPUT_REPORT_H_
#define TENSORQUANT_CLI_OUTPUT_REPORT_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace tensorquant::cli {

// How far an output is from what it should be, over all runs.
class OutputReport {
 public:
  explicit OutputReport(std::string name) : name_(std::move(name)) {}

  // The output of one more run. Error that names the output where shapes differ.
  void add(const at::Tensor& found, const at::Tensor& expected);

  std::optional<double> decibels() const;  // signal to noise; none if equal, or no floats
  std::optional<double> agreement()
      const;  // share of rows whose largest number stands at one place

  static std::string table(const std::vector<OutputReport>& reports);
  static nlohmann::ordered_json json(const std::vector<OutputReport>& reports);

 private:
  std::string name_, shape_;
  double largest_difference_ = 0;
  double signal_ = 0, noise_ = 0;
  std::int64_t rows_ = 0, equal_rows_ = 0;
};

// What an output says of labels. top1 and top5: the share of samples whose class is the first, or
// among the first five; mse: the mean square of the differences.
enum class Metric : std::uint8_t { none, top1, top5, mse };

// Error where output and labels do not fit.
double score(Metric metric, const at::Tensor& output, const at::Tensor& labels);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_OUTPUT_REPORT_H_
