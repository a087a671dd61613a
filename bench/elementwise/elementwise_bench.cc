// The kernels against copies, references and other libraries.
//   elementwise_bench [--json] [ROUNDS]             all, at all sizes, with one and two threads
//   elementwise_bench --targets [--json] [ROUNDS]   what docs/benchmarks.md has a table of
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bench/elementwise/rivals.h"
#include "bench/elementwise/targets.h"
#include "tensorquant/base/error.h"
#include "tensorquant/kernels/simd_target.h"
#include "tensorquant/measure/elementwise.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant::bench {
namespace {

// All that a target or a rival names.
std::vector<std::string> all_quantizers(const Contenders& rivals) {
  std::vector<std::string> all;
  const auto add = [&](const std::string& quantizer) {
    if (std::find(all.begin(), all.end(), quantizer) == all.end()) all.push_back(quantizer);
  };
  for (const Target& target : targets()) {
    for (const std::string& quantizer : target.quantizers) add(quantizer);
  }
  for (const measure::Contender& rival : rivals) add(rival.quantizer);
  return all;
}

// The kernels of each instruction set but the best, which is measured as ours.
Contenders other_simd_targets(const std::vector<std::string>& quantizers) {
  Contenders all;
  for (const SimdTarget& target : simd_targets()) {
    if (target.id == simd_targets().front().id) continue;
    for (const std::string& spec : quantizers) {
      all.push_back({std::string(measure::kOurs) + ", " + target.name, spec,
                     [target, quantizer = make_quantizer(spec)](std::span<const float> in,
                                                                std::span<float> out) {
                       const ScopedSimdTarget scoped(target);
                       quantizer->quantize(in, out);
                     }});
    }
  }
  return all;
}

Contenders only(const Contenders& contenders, const std::set<std::string>& names,
                const std::set<std::string>& quantizers) {
  Contenders some;
  for (const measure::Contender& contender : contenders) {
    if (names.contains(contender.name) && quantizers.contains(contender.quantizer)) {
      some.push_back(contender);
    }
  }
  return some;
}

void print(const measure::Measurement& m) {
  std::printf(
      "%9zu %2d  %-22s %-44s %8.4f ns [%8.4f %8.4f] %7.1f GB/s  x copy %6.2f  x memcpy %6.2f",
      m.elements, m.threads, m.name.c_str(), m.quantizer.c_str(), m.nanoseconds, m.nanoseconds_low,
      m.nanoseconds_high, m.gigabytes_per_second, m.over_streaming_copy, m.over_memcpy);
  if (m.over_ours > 0) std::printf("  x ours %7.2f", m.over_ours);
  std::printf("\n");
  std::fflush(stdout);
}

void append(std::vector<measure::Measurement>& all, std::vector<measure::Measurement> some) {
  all.insert(all.end(), some.begin(), some.end());
}

// Each size and number of threads with those alone that its targets name.
std::vector<measure::Measurement> measure_targets(const Contenders& contenders, int rounds) {
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
    append(all, measure::measure_elementwise(only(contenders, names, quantizers), elements, threads,
                                             rounds));
  }
  return all;
}

std::vector<measure::Measurement> measure_all(const Contenders& contenders, int rounds,
                                              bool prints) {
  std::vector<measure::Measurement> all;
  for (const std::size_t elements : {1 << 12, 1 << 18, 1 << 22, 1 << 26}) {
    for (const int threads : {1, 2}) {
      const auto some = measure::measure_elementwise(contenders, elements, threads, rounds);
      if (prints) std::for_each(some.begin(), some.end(), print);
      append(all, some);
    }
  }
  return all;
}

int main(int argc, char** argv) {
  bool as_json = false, is_for_targets = false;
  int rounds = 9;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--json") == 0) {
      as_json = true;
    } else if (std::strcmp(argv[i], "--targets") == 0) {
      is_for_targets = true;
    } else {
      rounds = std::max(1, std::stoi(argv[i]));
    }
  }
  const Contenders rivals = all_rivals();
  const std::vector<std::string> quantizers = all_quantizers(rivals);
  Contenders contenders = measure::our_contenders(quantizers, kMostSerialElements);
  contenders.insert(contenders.end(), rivals.begin(), rivals.end());
  if (!is_for_targets) {
    const Contenders others = other_simd_targets(quantizers);
    contenders.insert(contenders.end(), others.begin(), others.end());
  }
  const auto all = is_for_targets ? measure_targets(contenders, rounds)
                                  : measure_all(contenders, rounds, !as_json);
  if (as_json) {
    std::printf("%s\n", measure::to_json(all).c_str());
  } else if (is_for_targets) {
    std::printf("%s", to_markdown(targets(), all).c_str());
  }
  return 0;
}

}  // namespace
}  // namespace tensorquant::bench

int main(int argc, char** argv) {
  try {
    return tensorquant::bench::main(argc, argv);
  } catch (const tensorquant::Error& error) {
    std::fprintf(stderr, "elementwise_bench: %s\n", error.what());
    return 1;
  }
}
