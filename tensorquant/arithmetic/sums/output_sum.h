#ifndef TENSORQUANT_ARITHMETIC_SUMS_OUTPUT_SUM_H_
#define TENSORQUANT_ARITHMETIC_SUMS_OUTPUT_SUM_H_

// The sum of one output, term by term: the definition. For reference.cc and average_pool.cc.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "tensorquant/arithmetic/arithmetic.h"
#include "tensorquant/arithmetic/exact/exact_sum.h"

namespace tensorquant {

// What is added: a rounded product, a pool's input.
struct SumTerm {
  double value = 0;                   // to the nearest double
  std::optional<ExactNumber> number;  // the exact value; nothing for zeros, infinities and NaN
  int exponent = 0;                   // of the number, for Accumulate::align
};

// q's share in the exponent of a product: see kMaxAlignFraction. q is finite and not 0.
inline int aligned_exponent(double q, int min_exponent) {
  return std::max(std::ilogb(q), min_exponent);
}

inline SumTerm term_of(double x, int exponent) {
  if (!std::isfinite(x) || x == 0) return {x, {}, 0};
  return {x, exact_number(x), exponent};
}
inline SumTerm term_of(double x) {
  return term_of(x, std::isfinite(x) && x != 0 ? std::ilogb(x) : 0);
}

template <class T>
class OutputSum {
 public:
  // The report, if given, counts what the inner accumulator rounds; `outside`, if given, as in
  // SumsOfProducts. Its roundings are those of first_tap and those that follow.
  OutputSum(const Arithmetic& arithmetic, const ArithmeticContext& context, std::uint64_t index,
            RangeReport* report, bool* outside, std::uint32_t first_tap = 0)
      : arithmetic_(arithmetic),
        context_(context),
        index_(index),
        report_(report),
        outside_(outside),
        number_(first_tap) {
    if (outside_ != nullptr) *outside_ = false;  // where nothing is rounded
  }

  // The sum, a value of arithmetic.last_accumulator(). Segment i ends before term ends[i]; without
  // an outer accumulator there is no more than one. term(k) is a SumTerm, scales(k) the pair of
  // scales that term k and its segment have.
  template <class TermOf, class ScalesOf>
  double add_up(std::span<const std::size_t> ends, const TermOf& term, const ScalesOf& scales,
                const T* bias) {
    const bool has_outer = arithmetic_.outer.has_value();
    double t = 0;
    std::size_t first = 0;
    std::uint32_t segment = 0;
    for (const std::size_t end : ends) {
      const bool is_last = end == ends.back() && bias == nullptr;
      const double s = add_up_segment(first, end, is_last && !has_outer, term);
      if (has_outer) {
        const auto [a, b] = scales(first);
        ExactSum<T, 3> sum;
        sum.add(t);
        sum.add_product(a, b, s);
        if (is_last) look(sum);
        t = rounded(sum, arithmetic_.last_accumulator(), kFirstOuterTap + segment++);
      } else {
        t = s;
      }
      first = end;
    }
    if (bias != nullptr) {
      ExactSum<T> sum;
      sum.add(t);
      sum.add(*bias);
      look(sum);
      if (!has_outer) count(sum, *bias);
      t = rounded(sum, arithmetic_.last_accumulator(), kBiasTap);
    }
    return t;
  }

 private:
  template <class TermOf>
  double add_up_segment(std::size_t first, std::size_t last, bool looks, const TermOf& term) {
    using enum Accumulate::Mode;
    const Accumulate& accumulate = arithmetic_.accumulate;
    const bool by_chunk = accumulate.mode != step && accumulate.mode != fused;
    const std::size_t together = accumulate.together(last - first);
    double s = 0;
    running_ = 0;
    for (std::size_t begin = first; begin < last; begin += together) {
      terms_.clear();
      terms_.push_back(term_of(s));
      const std::size_t end = std::min(last, begin + together);
      for (std::size_t k = begin; k < end; ++k) terms_.push_back(term(k));
      if (accumulate.mode == align) cut_to_common_bit();
      ExactSum<T> sum;
      for (const SumTerm& x : terms_) x.number ? sum.add(*x.number) : sum.add(x.value);
      if (by_chunk) sum.add(0.0);  // a chunk whose sum is zero is +0
      if (looks && end == last) look(sum);
      count_running();
      count(sum, 0);
      s = rounded(sum, arithmetic_.accumulator, number_++);
    }
    return s;
  }

  void cut_to_common_bit() {
    int largest = std::numeric_limits<int>::min();
    for (const SumTerm& x : terms_) {
      if (x.number) largest = std::max(largest, x.exponent);
    }
    for (SumTerm& x : terms_) {
      if (!x.number) continue;
      x.number = cut_to(*x.number, largest - arithmetic_.accumulate.fraction);
      if (x.number->significand == 0) x = {};
    }
  }

  template <int kFactors>
  double rounded(const ExactSum<T, kFactors>& sum, const GridFormat& format,
                 std::uint32_t tap) const {
    return sum.rounded(format, draw(format, context_.accumulator(), index_, tap));
  }

  // At the sum before the last rounding.
  template <int kFactors>
  void look(const ExactSum<T, kFactors>& sum) const {
    if (outside_ == nullptr) return;
    *outside_ = sum.is_outside(ends_of<T>(arithmetic_.last_accumulator()));
  }

  // At the terms as they would add up without the accumulator: all but the sum before them.
  void count_running() {
    if (report_ == nullptr) return;
    for (std::size_t i = 1; i < terms_.size(); ++i) add_to_running(terms_[i].value);
  }
  void add_to_running(double x) {
    running_ += x;
    if (!std::isfinite(running_)) return;
    report_->lowest_sum = std::min(report_->lowest_sum, running_);
    report_->highest_sum = std::max(report_->highest_sum, running_);
  }

  // A sum that the inner accumulator is about to round.
  void count(const ExactSum<T>& sum, double bias) {
    if (report_ == nullptr) return;
    add_to_running(bias);
    ++report_->sums;
    if (sum.is_outside(ends_of<T>(arithmetic_.accumulator))) ++report_->clamped_sums;
  }

  const Arithmetic& arithmetic_;
  const ArithmeticContext& context_;
  const std::uint64_t index_;
  RangeReport* const report_;
  bool* const outside_;
  std::uint32_t number_;        // of the inner accumulator's rounding
  double running_ = 0;          // of a segment
  std::vector<SumTerm> terms_;  // that are added at once: s, then the next ones
};

}  // namespace tensorquant

#endif  // TENSORQUANT_ARITHMETIC_SUMS_OUTPUT_SUM_H_
