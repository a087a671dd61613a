#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tensorquant/base/parallel.h"
#include "tensorquant/base/table.h"
#include "tensorquant/cli/commands.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/number_option.h"
#include "tensorquant/cli/quantizer_option.h"
#include "tensorquant/measure/elementwise.h"

namespace tensorquant::cli {
namespace {

struct BenchOptions {
  std::vector<std::string> quantizers = {"nearest,8,4",
                                         "even,8,4",
                                         "stochastic,8,4",
                                         "stochastic,8,4,random_bits=8",
                                         "float,4,3",
                                         "fp16",
                                         "bf16",
                                         "float,4,3,rounding=stochastic",
                                         "logarithmic",
                                         "binary",
                                         "sparse,0.5",
                                         "ternary",
                                         "e4m3fn",
                                         "e2m1",
                                         "p3109,8,4",
                                         "posit,16",
                                         "logarithmic,fraction=2",
                                         "apot,4",
                                         "int,8,scale=max",
                                         "int,8,per=channel,scale=max",
                                         "int,8,per=row,scale=range",
                                         "mxfp8_e4m3",
                                         "mxfp4",
                                         "nvfp4",
                                         "nf4"};
  std::vector<std::uint64_t> elements = {std::uint64_t{1} << 18, std::uint64_t{1} << 24};
  int threads = num_threads();
  int rounds = 9;
  std::string type = "float32";
  bool as_json = false;
};

// The scalar references are slow.
constexpr std::size_t kReferenceElements = std::size_t{1} << 18;

void print_table(const std::vector<measure::Measurement>& measurements) {
  std::vector<std::vector<std::string>> rows;
  for (const measure::Measurement& m : measurements) {
    if (m.name == measure::kReference) continue;
    const std::string what = m.name == measure::kOurs
                                 ? m.quantizer + (m.axis == 0 ? ", axis 0" : "")
                                 : std::string("(") + m.name + ")";
    rows.push_back({what, std::to_string(m.elements), cell("%.3f", m.nanoseconds),
                    cell("%.1f", m.gigabytes_per_second), cell("%.2f", m.over_streaming_copy),
                    cell("%.2f", m.over_memcpy)});
  }
  const std::vector<std::string> headings = {"QUANTIZER", "ELEMENTS",         "ns/ELEMENT",
                                             "GB/s",      "x STREAMING COPY", "x MEMCPY"};
  std::printf("%s", format_table(headings, rows).c_str());
}

template <class T>
std::vector<measure::Measurement> measured(const BenchOptions& options) {
  const auto contenders = measure::our_contenders<T>(options.quantizers, kReferenceElements);
  std::vector<measure::Measurement> all;
  for (const std::uint64_t elements : options.elements) {
    const auto some =
        measure::measure_elementwise(contenders, elements, options.threads, options.rounds);
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

void bench(const BenchOptions& options) {
  for (const std::string& quantizer : options.quantizers) quantizer_of(quantizer);
  const auto all = options.type == "float32" ? measured<float>(options) : measured<double>(options);
  if (options.as_json) {
    print(nlohmann::ordered_json::parse(measure::to_json(all)));
  } else {
    print_table(all);
  }
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("bench", "Measure how fast quantizers are on this machine");
  command->footer(
      "Each quantizer is compared with its reference, bit for bit, before the clock starts. It is\n"
      "measured beside two copies of the same tensor, a matrix of 1024 columns; what has scales "
      "for\n"
      "channels, rows or blocks, with rows and blocks along axis 1 and along axis 0. Large tensors "
      "cannot beat the copy past the\n"
      "caches (streaming), small ones cannot beat memcpy. Times are medians; x is the median of "
      "the\n"
      "ratio within a round.\n");
  auto options = std::make_shared<BenchOptions>();
  command->add_option("SPEC", options->quantizers,
                      "Quantizer strings; some of each kind if left out");
  add_numbers(*command, "--elements", options->elements, "Sizes of the tensor, in numbers",
              {1, std::uint64_t{1} << 32})
      ->delimiter(',')
      ->allow_extra_args(false)
      ->capture_default_str();
  command->add_option("--type", options->type, "Type of the tensor")
      ->check(CLI::IsMember({"float32", "float64"}))
      ->capture_default_str();
  add_number(*command, "--threads", options->threads, "Threads", {1, 1024})->capture_default_str();
  add_number(*command, "--rounds", options->rounds,
             "Times that each quantizer is measured, in turn", {1, 10000})
      ->capture_default_str();
  command->add_flag("--json", options->as_json,
                    "Print JSON, with quartiles and the references' times");
  command->callback([options] { bench(*options); });
}

}  // namespace tensorquant::cli
