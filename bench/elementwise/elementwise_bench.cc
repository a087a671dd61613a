// The kernels against copies, references and other libraries, at several sizes and numbers of
// threads; or what docs/benchmarks.md has a table of.
#include <algorithm>
#include <cstdio>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "bench/command_line.h"
#include "bench/elementwise/rivals.h"
#include "bench/elementwise/targets.h"
#include "tensorquant/kernels/simd_target.h"
#include "tensorquant/measure/elementwise.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant::bench {
namespace {

struct Options {
  CommonOptions common = {.rounds = 9};
  bool is_for_targets = false;
  std::string type = "float32";
  std::vector<std::string> quantizers;
  std::vector<std::size_t> elements = {1 << 12, 1 << 18, 1 << 22, 1 << 26};
  std::vector<int> threads = {1, 2};
};

// All that a target or a rival names.
std::vector<std::string> all_quantizers() {
  std::vector<std::string> all;
  const auto add = [&](const std::string& quantizer) {
    if (std::find(all.begin(), all.end(), quantizer) == all.end()) all.push_back(quantizer);
  };
  for (const Target& target : targets()) {
    for (const std::string& quantizer : target.quantizers) add(quantizer);
  }
  for (const auto& rival : all_rivals()) add(rival.quantizer);
  return all;
}

// The kernels of each instruction set but the best, which is measured as ours.
template <class T>
std::vector<measure::Contender<T>> other_simd_targets(const std::vector<std::string>& quantizers) {
  std::vector<measure::Contender<T>> all;
  for (const SimdTarget& target : simd_targets()) {
    if (target.id == simd_targets().front().id) continue;
    for (auto ours : measure::our_contenders<T>(quantizers, 0)) {
      if (ours.name != measure::kOurs) continue;
      ours.name += std::string(", ") + target.name;
      ours.run = [target, run = ours.run](std::span<const T> in, std::span<T> out) {
        const ScopedSimdTarget scoped(target);
        run(in, out);
      };
      all.push_back(std::move(ours));
    }
  }
  return all;
}

Contenders rivals_of(const std::vector<std::string>& quantizers) {
  Contenders some;
  for (const auto& rival : all_rivals()) {
    const auto& spec = rival.quantizer;
    if (std::find(quantizers.begin(), quantizers.end(), spec) != quantizers.end()) {
      some.push_back(rival);
    }
  }
  return some;
}

void print(const measure::Measurement& m) {
  const std::string what = m.quantizer + (m.axis == 0 ? ", axis 0" : "");
  std::printf(
      "%9zu %2d  %-22s %-44s %8.4f ns [%8.4f %8.4f] %7.1f GB/s  x copy %6.2f  x memcpy %6.2f",
      m.elements, m.threads, m.name.c_str(), what.c_str(), m.nanoseconds, m.nanoseconds_low,
      m.nanoseconds_high, m.gigabytes_per_second, m.over_streaming_copy, m.over_memcpy);
  if (m.over_ours > 0) std::printf("  x ours %7.2f", m.over_ours);
  std::printf("\n");
  std::fflush(stdout);
}

template <class C>
void append(std::vector<C>& all, const std::vector<C>& some) {
  all.insert(all.end(), some.begin(), some.end());
}

template <class T>
std::vector<measure::Measurement> measure_all(const Options& options) {
  const auto quantizers = options.quantizers.empty() ? all_quantizers() : options.quantizers;
  auto contenders = measure::our_contenders<T>(quantizers, kMostSerialElements);
  append(contenders, other_simd_targets<T>(quantizers));
  if constexpr (std::is_same_v<T, float>) append(contenders, rivals_of(quantizers));
  std::vector<measure::Measurement> all;
  for (const std::size_t elements : options.elements) {
    for (const int threads : options.threads) {
      const auto some =
          measure::measure_elementwise(contenders, elements, threads, options.common.rounds);
      if (!options.common.as_json) std::for_each(some.begin(), some.end(), print);
      append(all, some);
    }
  }
  return all;
}

// Each size and number of threads with those alone that its targets name.
std::vector<measure::Measurement> measure_targets(int rounds) {
  Contenders contenders = measure::our_contenders<float>(all_quantizers(), 0);
  append(contenders, all_rivals());
  std::set<std::pair<std::size_t, int>> runs;
  for (const Target& target : targets()) runs.insert({target.elements, target.threads});
  std::vector<measure::Measurement> all;
  for (const auto& [elements, threads] : runs) {
    std::set<std::string> names = {measure::kOurs}, quantizers;
    for (const Target& target : targets()) {
      if (target.elements != elements || target.threads != threads) continue;
      names.insert(target.other);
      quantizers.insert(target.quantizers.begin(), target.quantizers.end());
    }
    Contenders some;
    for (const auto& contender : contenders) {
      if (names.contains(contender.name) && quantizers.contains(contender.quantizer)) {
        some.push_back(contender);
      }
    }
    append(all, measure::measure_elementwise(some, elements, threads, rounds));
  }
  return all;
}

void benchmark(const Options& options) {
  const auto all = options.is_for_targets      ? measure_targets(options.common.rounds)
                   : options.type == "float32" ? measure_all<float>(options)
                                               : measure_all<double>(options);
  if (options.common.as_json) {
    std::printf("%s\n", measure::to_json(all).c_str());
  } else if (options.is_for_targets) {
    std::printf("%s", to_markdown(targets(), all).c_str());
  }
}

}  // namespace
}  // namespace tensorquant::bench

int main(int argc, char** argv) {
  using namespace tensorquant::bench;
  Options options;
  CLI::App app("The elementwise kernels against copies, references and other libraries.",
               "elementwise_bench");
  add_common_options(app, options.common);
  app.add_flag("--targets", options.is_for_targets,
               "Measure what docs/benchmarks.md has a table of, and print that table")
      ->excludes(
          app.add_option("QUANTIZER", options.quantizers,
                         "Quantizer strings; those that a target or a rival computes if left out"))
      ->excludes(app.add_option("--type", options.type, "Type of the tensor; rivals take float32")
                     ->check(CLI::IsMember({"float32", "float64"}))
                     ->capture_default_str())
      ->excludes(app.add_option("--elements", options.elements, "Sizes of the tensor, in numbers")
                     ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 32))
                     ->delimiter(',')
                     ->allow_extra_args(false)
                     ->capture_default_str())
      ->excludes(app.add_option("--threads", options.threads, "Numbers of threads")
                     ->check(CLI::Range(1, 1024))
                     ->delimiter(',')
                     ->allow_extra_args(false)
                     ->capture_default_str());
  return run(app, argc, argv, options.common, [&] { benchmark(options); });
}
