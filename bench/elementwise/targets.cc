#include "bench/elementwise/targets.h"

#include <cstdio>
#include <optional>

#include "bench/elementwise/rivals.h"

namespace tensorquant::bench {
namespace {

constexpr std::size_t k256K = std::size_t{1} << 18, k64M = std::size_t{1} << 26;

bool is_copy(const Target& target) {
  return target.other == measure::kStreamingCopy || target.other == measure::kMemcpy;
}

std::optional<double> ratio_of(const Target& target, const std::string& quantizer,
                               std::span<const measure::Measurement> measurements) {
  for (const measure::Measurement& m : measurements) {
    if (m.elements != target.elements || m.threads != target.threads) continue;
    if (m.quantizer != quantizer || m.axis != target.axis) continue;
    if (!is_copy(target) && m.name == target.other) return m.over_ours;
    if (is_copy(target) && m.name == measure::kOurs) {
      return target.other == measure::kMemcpy ? m.over_memcpy : m.over_streaming_copy;
    }
  }
  return std::nullopt;
}

std::string text_of(double ratio) {
  char text[32];
  std::snprintf(text, sizeof text, ratio < 10 ? "%.2f" : "%.1f", ratio);
  return text;
}

std::string size_of(std::size_t elements) {
  return elements >= 1 << 20 ? std::to_string(elements >> 20) + "M"
                             : std::to_string(elements >> 10) + "K";
}

}  // namespace

const std::vector<Target>& targets() {
  using measure::kMemcpy, measure::kStreamingCopy;
  static const std::vector<std::string> elements = {"e4m3fn",
                                                    "e5m2",
                                                    "e4m3fnuz",
                                                    "e5m2fnuz",
                                                    "e4m3b11fnuz",
                                                    "e3m2",
                                                    "e2m3",
                                                    "e2m1",
                                                    "p3109,8,4",
                                                    "int,8,unsigned",
                                                    "down,16,8,overflow=wrap"};
  static const std::vector<std::string> tables = {"posit,8",
                                                  "posit,16",
                                                  "apot,4,unsigned",
                                                  "apot,5",
                                                  "apot,6,unsigned",
                                                  "nf4,scale=1",
                                                  "logarithmic,fraction=1",
                                                  "logarithmic,fraction=2,max=0,min=-8"};
  static const std::vector<std::string> blocks = {"mxfp8_e4m3", "mxfp6_e2m3", "mxfp4", "mxint8",
                                                  "bfp,8",      "nvfp4",      "nf4"};
  static const std::vector<Target> all = {
      {"deterministic, large",
       k64M,
       2,
       kStreamingCopy,
       1.10,
       {"nearest,16,8", "even,16,8", "zero,16,8", "down,16,8", "float,4,3", "float,5,2",
        "float,4,3,rounding=nearest", "fp16", "bf16", "logarithmic", "logarithmic,down", "binary",
        "sparse,0.5", "ternary,1,0.5"}},
      {"deterministic, in the cache",
       k256K,
       1,
       kMemcpy,
       1.10,
       {"nearest,16,8", "even,16,8", "zero,16,8", "down,16,8", "float,4,3", "float,5,2", "fp16",
        "bf16", "logarithmic", "logarithmic,down", "binary", "sparse,0.5", "ternary,1,0.5"}},
      {"float, ties away, in the cache", k256K, 1, kMemcpy, 1.40, {"float,4,3,rounding=nearest"}},
      {"stochastic, large",
       k64M,
       2,
       kStreamingCopy,
       1.90,
       {"stochastic,16,8", "float,4,3,rounding=stochastic", "bf16,rounding=stochastic"}},
      {"stochastic of few random bits, large",
       k64M,
       2,
       kStreamingCopy,
       1.25,
       {"stochastic,16,8,random_bits=8", "stochastic,16,8,random_bits=16",
        "float,4,3,random_bits=8,rounding=stochastic"}},
      {"ternary, threshold of the tensor, large", k64M, 2, kStreamingCopy, 2.00, {"ternary"}},
      {"formats of hardware, large", k64M, 2, kStreamingCopy, 1.10, elements},
      {"formats of hardware, in the cache", k256K, 1, kMemcpy, 1.10, elements},
      {"posits and tables, large", k64M, 2, kStreamingCopy, 2.00, tables},
      {"posits and tables, in the cache", k256K, 1, kMemcpy, 2.00, tables},
      {"scale of the tensor, large",
       k64M,
       2,
       kStreamingCopy,
       2.20,
       {"int,8,scale=max", "e4m3fn,scale=max", "int,8,unsigned,scale=range"}},
      {"scales of channels, large", k64M, 2, kStreamingCopy, 2.20, {"int,8,per=channel,scale=max"}},
      {"scales of channels side by side, large",
       k64M,
       2,
       kStreamingCopy,
       2.20,
       {"int,8,per=channel,scale=max"},
       0},
      {"scales of rows, large", k64M, 2, kStreamingCopy, 2.20, {"int,8,per=row,scale=max"}},
      {"blocks of neighbours, large", k64M, 2, kStreamingCopy, 1.25, blocks},
      {"blocks along the other axis, large", k64M, 2, kStreamingCopy, 1.50, blocks, 0},
      {"nearest", k256K, 1, kOriginal, 25, {"nearest,16,8"}},
      {"stochastic", k256K, 1, kOriginal, 20, {"stochastic,16,8"}},
      {"logarithmic", k256K, 1, kOriginal, 80, {"logarithmic,down"}},
      {"ternary", k256K, 1, kOriginal, 40, {"ternary"}},
      {"float, ties to even", k256K, 1, kCpfloat, 18, {"float,4,3"}},
      {"float, stochastic", k256K, 1, kCpfloat, 5, {"float,4,3,rounding=stochastic"}},
      {"float, ties to even and stochastic",
       k64M,
       2,
       kCpfloatOpenmp,
       6,
       {"float,4,3", "float,4,3,rounding=stochastic"}},
      {"float, ties away and toward zero",
       k64M,
       2,
       kCpfloatOpenmp,
       1.4,
       {"float,4,3,rounding=nearest", "float,4,3,rounding=zero"}},
      {"bf16", k64M, 2, kCpfloatOpenmp, 1.0, {"bf16"}},
      {"fixed point", k256K, 1, kQpytorch, 120, {"even,16,8"}},
      {"fixed point, stochastic", k256K, 1, kQpytorch, 30, {"stochastic,16,8"}},
      {"float",
       k256K,
       1,
       kQpytorch,
       30,
       {"float,4,3,rounding=nearest", "float,4,3,rounding=stochastic"}},
  };
  return all;
}

std::string to_markdown(std::span<const Target> targets,
                        std::span<const measure::Measurement> measurements) {
  std::string text =
      "| what | floats | threads | over | aim | measured | |\n|---|---|---|---|---|---|---|\n";
  for (const Target& target : targets) {
    const bool is_limit = is_copy(target);
    std::optional<double> worst;
    std::string of;
    for (const std::string& quantizer : target.quantizers) {
      const std::optional<double> ratio = ratio_of(target, quantizer, measurements);
      if (!ratio) continue;
      if (worst && (is_limit ? *ratio <= *worst : *ratio >= *worst)) continue;
      worst = ratio;
      of = quantizer;
    }
    const bool is_met = worst && (is_limit ? *worst <= target.ratio : *worst >= target.ratio);
    text += "| " + target.what + " | " + size_of(target.elements) + " | " +
            std::to_string(target.threads) + " | " +
            (is_limit ? target.other : "ours; " + target.other) + " | " +
            (is_limit ? "<= " : ">= ") + text_of(target.ratio) + " | " +
            (worst ? text_of(*worst) + " (`" + of + "`)" : "not in this build") + " | " +
            (!worst   ? ""
             : is_met ? "met"
                      : "missed") +
            " |\n";
  }
  return text;
}

}  // namespace tensorquant::bench
