// Every vector of arithmetic.jsonl, bit for bit, on every instruction set. README.md here says
// whose hand wrote it.

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tensorquant/arithmetic/layers/add.h"
#include "tensorquant/arithmetic/layers/average_pool.h"
#include "tensorquant/arithmetic/layers/batch_norm.h"
#include "tensorquant/arithmetic/layers/convolution.h"
#include "tensorquant/arithmetic/layers/matrix_product.h"
#include "tensorquant/kernels/simd_target.h"
#include "tests/floats.h"
#include "tests/golden/arithmetic_case.h"
#include "tests/golden/json_lines.h"

namespace tensorquant {
namespace {

using nlohmann::json;
using Sizes = std::vector<std::int64_t>;

template <class T>
class Case {
 public:
  explicit Case(const json& entry)
      : entry_(entry),
        shape_(entry.value("shape", json::object())),
        arithmetic_(arithmetic_of(entry)),
        context_(context_of(entry)),
        a_(values_of<T>(entry["a"])),
        b_(optional_values<T>(entry, "b")),
        bias_(optional_values<T>(entry, "bias")),
        wanted_(values_of<T>(entry["y"])),
        y_(wanted_.size()) {}

  // What the vector says, and what is found.
  const std::vector<T>& wanted() const { return wanted_; }
  const std::vector<T>& compute() {
    const std::string kind = entry_["kind"];
    if (kind == "matmul") {
      matrix_product<T>(arithmetic_, context_, shape_["m"], shape_["k"], shape_["n"], a_.data(),
                        b_.data(), pointer(bias_), y_.data());
    } else if (kind == "linear") {
      linear_layer();
    } else if (kind == "conv" || kind == "conv_transpose") {
      convolution(kind == "conv_transpose");
    } else if (kind == "avg_pool") {
      pool();
    } else if (kind == "batch_norm") {
      norm();
    } else if (kind == "add") {
      rounded_add<T>(arithmetic_, context_, a_, b_, y_);
    } else {
      ADD_FAILURE() << "unknown kind " << kind;
    }
    return y_;
  }

 private:
  Sizes sizes(const char* key) const { return shape_[key].get<Sizes>(); }

  void linear_layer() {
    const json scales = entry_.value("scales", json::object());
    const auto of = [&](const char* which, std::vector<T>& values) -> ScalesAlongK<T> {
      if (!scales.contains(which) || scales[which].is_null()) return {};
      values = values_of<T>(scales[which]["values"]);
      return {values, scales[which]["block"], scales[which]["stride"]};
    };
    std::vector<T> data, weights;
    linear<T>(arithmetic_, context_, shape_["m"], shape_["k"], shape_["n"], a_.data(), b_.data(),
              pointer(bias_), y_.data(), nullptr, nullptr,
              {of("data", data), of("weights", weights)});
  }

  void convolution(bool is_transposed) {
    const Sizes x = sizes("x"), w = sizes("w");
    Convolution c;
    c.is_transposed = is_transposed;
    c.groups = shape_["groups"];
    c.batch = x[0];
    c.in_channels = x[1];
    c.out_channels = is_transposed ? w[1] * c.groups : w[0];
    c.input.assign(x.begin() + 2, x.end());
    c.kernel.assign(w.begin() + 2, w.end());
    c.stride = sizes("stride");
    c.dilation = sizes("dilation");
    c.padding_begin = c.padding_end = sizes("padding");
    if (is_transposed) c.output_padding = sizes("output_padding");
    convolve<T>(arithmetic_, context_, c, a_.data(), b_.data(), pointer(bias_), y_.data());
  }

  void pool() {
    const Sizes x = sizes("x"), kernel = sizes("kernel"), stride = sizes("stride"),
                padding = sizes("padding");
    AveragePool p;
    p.planes = x[0] * x[1];
    p.input.assign(x.begin() + 2, x.end());
    for (std::size_t d = 0; d < kernel.size(); ++d) {
      auto& windows = p.windows.emplace_back();
      for (std::int64_t i = -padding[d]; i + kernel[d] <= p.input[d] + padding[d]; i += stride[d]) {
        windows.push_back({i, kernel[d]});
      }
    }
    p.divisors.assign(y_.size() / static_cast<std::size_t>(p.planes),
                      shape_["divisor"].get<std::int64_t>());
    average_pool<T>(arithmetic_, context_, p, a_.data(), y_.data());
  }

  void norm() {
    const auto mean = values_of<T>(entry_["mean"]), variance = values_of<T>(entry_["var"]);
    const auto gamma = optional_values<T>(entry_, "gamma"),
               beta = optional_values<T>(entry_, "beta");
    const BatchNorm<T> norm{mean, variance, gamma, beta, values_of<T>(entry_["eps"])[0]};
    const Sizes x = sizes("x");
    std::int64_t plane = 1;
    for (std::size_t d = 2; d < x.size(); ++d) plane *= x[d];
    batch_norm<T>(arithmetic_, context_, norm, plane, a_, y_);
  }

  const json& entry_;
  const json shape_;
  Arithmetic arithmetic_;
  ArithmeticContext context_;
  std::vector<T> a_, b_, bias_, wanted_, y_;
};

template <class T>
void check(const json& entry, const std::string& where) {
  Case<T> c(entry);
  const std::vector<T>& found = c.compute();
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_TRUE(same_bits(found[i], c.wanted()[i])) << where << ", output " << i;
  }
}

TEST(GoldenArithmetic, IsThatOfTheSecondHandOnEveryTarget) {
  std::map<std::string, int> kinds;
  int number = 0;
  for (const json& entry : json_lines("arithmetic.jsonl")) {
    ++kinds[entry["kind"]];
    ++number;
    for (const SimdTarget& target : simd_targets()) {
      const ScopedSimdTarget scope(target);
      const std::string where =
          "line " + std::to_string(number) + " on " + target.name + ": " +
          entry["kind"].get<std::string>() + " " + entry["product"].get<std::string>() + " / " +
          entry["accumulator"].get<std::string>() + " / " + entry["accumulate"].get<std::string>();
      entry["type"] == "float32" ? check<float>(entry, where) : check<double>(entry, where);
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(kinds["matmul"], 2000);
  EXPECT_GT(kinds["linear"], 1000);
  EXPECT_GT(kinds["conv"], 100);
  EXPECT_GT(kinds["conv_transpose"], 50);
  EXPECT_GT(kinds["avg_pool"], 30);
  EXPECT_GT(kinds["batch_norm"], 30);
  EXPECT_GT(kinds["add"], 20);
}

}  // namespace
}  // namespace tensorquant
