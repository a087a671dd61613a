#include "tensorquant/measure/elementwise.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>
#include <variant>

#include "tensorquant/base/bits.h"
#include "tensorquant/base/error.h"
#include "tensorquant/base/parallel.h"
#include "tensorquant/kernels/stores.h"
#include "tensorquant/measure/interleaved.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant::measure {
namespace {

template <class T>
using In = std::span<const T>;
template <class T>
using Out = std::span<T>;

// So long that the processor has warmed up to the case's instructions for most of it.
constexpr double kSampleSeconds = 1e-3;

// Memory that begins with a page, as large tensors do.
template <class T>
class Tensor {
 public:
  explicit Tensor(std::size_t elements)
      : memory_(static_cast<T*>(std::aligned_alloc(kPage, bytes(elements)))), elements_(elements) {
    if (memory_ == nullptr) throw Error("no memory for " + std::to_string(elements) + " elements");
    std::fill_n(memory_.get(), elements, T{0});
  }
  Out<T> values() const { return {memory_.get(), elements_}; }

 private:
  static constexpr std::size_t kPage = 4096;
  static std::size_t bytes(std::size_t elements) {
    return (elements * sizeof(T) + kPage - 1) / kPage * kPage;
  }
  struct Free {
    void operator()(T* memory) const { std::free(memory); }
  };
  std::unique_ptr<T, Free> memory_;
  std::size_t elements_;
};

// As activations are: most of them in the range of small formats, some beyond. The first million is
// repeated: more than a branch predictor learns.
template <class T>
void fill_random(Out<T> x) {
  const std::size_t period = std::min<std::size_t>(x.size(), 1 << 20);
  std::mt19937 random(1);
  std::normal_distribution<T> normal(0, 3);
  std::generate_n(x.begin(), period, [&] { return normal(random); });
  for (std::size_t i = period; i < x.size(); ++i) x[i] = x[i - period];
}

Context context_of(std::size_t elements, int axis) {
  return {.layout = matrix_layout(elements, axis)};
}

template <class T>
void quantize_by_reference(const Quantizer& quantizer, int axis, In<T> in, Out<T> out) {
  std::visit([&](const auto& f) { quantize_reference(f, in, out, context_of(in.size(), axis)); },
             *quantizer.format());
}

// The first elements alone are checked where results do not depend on those behind.
constexpr std::size_t kChecked = 1 << 18;
std::size_t elements_checked(const std::string& quantizer, int axis, std::size_t elements) {
  const auto made = make_quantizer(quantizer);
  if (std::holds_alternative<Ternary>(*made->format())) return elements;
  const auto* scaled = std::get_if<Scaled>(made->format());
  if (scaled != nullptr && finds_scales(*scaled)) {
    const auto& [rule, number, zero, per, block] = scaled->scale;
    const bool are_blocks = per == Scale::Per::block && rule != Scale::Rule::e4m3;
    const bool are_lines = are_blocks || per == Scale::Per::row;
    const bool is_local = axis == 1 ? are_lines : are_blocks && kChecked / kColumns % block == 0;
    if (!is_local) return elements;
  }
  return elements % kColumns == 0 ? std::min(elements, kChecked) : elements;
}

// `out` is as the contender left it, given `in`.
template <class T>
void check(const Contender<T>& contender, In<T> in, In<T> out) {
  const std::size_t count = elements_checked(contender.quantizer, contender.axis, in.size());
  const bool wants_bits = contender.one_of.empty();
  std::vector<std::vector<T>> wanted;
  for (const std::string& quantizer :
       wants_bits ? std::vector{contender.quantizer} : contender.one_of) {
    wanted.emplace_back(count);
    quantize_by_reference<T>(*make_quantizer(quantizer), contender.axis, in.first(count),
                             wanted.back());
  }
  for (std::size_t i = 0; i < count; ++i) {
    const bool is_good = std::any_of(wanted.begin(), wanted.end(), [&](const auto& values) {
      return wants_bits ? to_bits(values[i]) == to_bits(out[i]) : values[i] == out[i];
    });
    if (is_good) continue;
    throw Error(contender.name + " " + contender.quantizer + ", element " + std::to_string(i) +
                ": of " + std::to_string(in[i]) + " it makes " + std::to_string(out[i]) + ", not " +
                std::to_string(wanted[0][i]));
  }
}

template <class T>
const Case* find(const std::vector<Case>& cases, const std::vector<Contender<T>>& contenders,
                 std::string_view name, std::string_view quantizer, int axis = 1) {
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const Contender<T>& c = contenders[i];
    if (c.name == name && c.quantizer == quantizer && c.axis == axis) return &cases[i];
  }
  return nullptr;
}

}  // namespace

Layout matrix_layout(std::size_t elements, int axis) {
  const std::size_t columns = std::gcd(elements, kColumns), rows = elements / columns;
  const Axis of_rows = {1, rows, columns}, of_columns = {rows, columns, 1};
  return axis == 1 ? Layout{.channel = of_rows, .reduction = of_columns}
                   : Layout{.channel = of_columns, .reduction = of_rows};
}

template <class T>
std::vector<Contender<T>> our_contenders(const std::vector<std::string>& quantizers,
                                         std::size_t reference_elements) {
  std::vector<Contender<T>> contenders;
  for (const std::string& spec : quantizers) {
    const auto quantizer = make_quantizer(spec);
    if (!quantizer->format()) throw Error(spec + ": has no reference to be compared with");
    for (const int axis : quantizer->needs_layout() ? std::vector{1, 0} : std::vector{1}) {
      contenders.push_back({.name = kOurs,
                            .quantizer = spec,
                            .run =
                                [quantizer, axis](In<T> in, Out<T> out) {
                                  quantizer->quantize(in, out, context_of(in.size(), axis));
                                },
                            .axis = axis});
      contenders.push_back(
          {.name = kReference,
           .quantizer = spec,
           .run = [quantizer, axis](
                      In<T> in, Out<T> out) { quantize_by_reference(*quantizer, axis, in, out); },
           .most_elements = reference_elements,
           .threads = 1,
           .axis = axis});
    }
  }
  return contenders;
}

template <class T>
std::vector<Contender<T>> copies() {
  const auto identity = make_quantizer("none");
  return {{kStreamingCopy, "",
           [identity](In<T> in, Out<T> out) {
             const ScopedStores streaming(Stores::streaming);
             identity->quantize(in, out);
           }},
          {kMemcpy, "", [](In<T> in, Out<T> out) {
             parallel_for(in.size(), 1024, [&](std::size_t begin, std::size_t end) {
               std::memcpy(out.data() + begin, in.data() + begin, (end - begin) * sizeof(T));
             });
           }}};
}

template <class T>
std::vector<Measurement> measure_elementwise(const std::vector<Contender<T>>& contenders,
                                             std::size_t elements, int threads, int rounds) {
  set_num_threads(threads);
  const Tensor<T> in(elements), out(elements);
  fill_random(in.values());
  std::vector<Contender<T>> here = copies<T>();
  for (const Contender<T>& contender : contenders) {
    const bool takes_part = elements <= contender.most_elements &&
                            (contender.threads == 0 || contender.threads == threads);
    if (takes_part) here.push_back(contender);
  }
  std::vector<Case> cases;
  for (const Contender<T>& contender : here) {
    const auto run = [&] { contender.run(in.values(), out.values()); };
    std::copy(in.values().begin(), in.values().end(), out.values().begin());
    run();
    if (contender.fetch) contender.fetch(out.values());
    if (!contender.quantizer.empty()) check<T>(contender, in.values(), out.values());
    cases.push_back({contender.name, run, calls_for(run, kSampleSeconds)});
  }
  run_interleaved(cases, rounds);
  set_num_threads(0);

  const Case& streaming = *find(cases, here, kStreamingCopy, "");
  const Case& memcpy = *find(cases, here, kMemcpy, "");
  const char* type = sizeof(T) == sizeof(float) ? "float32" : "float64";
  std::vector<Measurement> measurements;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const auto nanoseconds = [&](double part) {
      return quantile(cases[i].seconds, part) / static_cast<double>(elements) * 1e9;
    };
    const Case* ours = find(cases, here, kOurs, here[i].quantizer, here[i].axis);
    measurements.push_back({here[i].name, here[i].quantizer, here[i].axis, type, elements, threads,
                            nanoseconds(0.5), nanoseconds(0.25), nanoseconds(0.75),
                            2 * sizeof(T) / nanoseconds(0.5), ratio(cases[i], streaming),
                            ratio(cases[i], memcpy), ours == nullptr ? 0 : ratio(cases[i], *ours)});
  }
  return measurements;
}

template std::vector<Contender<float>> our_contenders(const std::vector<std::string>&, std::size_t);
template std::vector<Contender<double>> our_contenders(const std::vector<std::string>&,
                                                       std::size_t);
template std::vector<Contender<float>> copies();
template std::vector<Contender<double>> copies();
template std::vector<Measurement> measure_elementwise(const std::vector<Contender<float>>&,
                                                      std::size_t, int, int);
template std::vector<Measurement> measure_elementwise(const std::vector<Contender<double>>&,
                                                      std::size_t, int, int);

std::string to_json(std::span<const Measurement> measurements) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Measurement& m : measurements) {
    nlohmann::ordered_json row = {{"name", m.name},
                                  {"quantizer", m.quantizer},
                                  {"axis", m.axis},
                                  {"type", m.type},
                                  {"elements", m.elements},
                                  {"threads", m.threads},
                                  {"nanoseconds", m.nanoseconds},
                                  {"nanoseconds_low", m.nanoseconds_low},
                                  {"nanoseconds_high", m.nanoseconds_high},
                                  {"gigabytes_per_second", m.gigabytes_per_second},
                                  {"over_streaming_copy", m.over_streaming_copy},
                                  {"over_memcpy", m.over_memcpy}};
    if (m.over_ours > 0) row["over_ours"] = m.over_ours;
    rows.push_back(std::move(row));
  }
  return rows.dump(2);
}

}  // namespace tensorquant::measure
