#ifndef TENSORQUANT_SEARCH_LOGIT_METRICS_H_
#define TENSORQUANT_SEARCH_LOGIT_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace tensorquant {

// How the logits of a quantized model differ from those of the float one, on the same images.
struct LogitMetrics {
  std::size_t images = 0;
  // Mean over images of sum_c p0_c (log p0_c - log p_c), in nats, where p0 is the softmax of the
  // float model's logits. Infinite or NaN where logits are.
  double kl = 0;
  double logit_error = 0;  // sum of squared differences over that of squared float logits
  // Images whose largest logit is another one: NaN if there is one, and the first of several.
  std::size_t flips = 0;
  std::size_t correct = 0;
  std::size_t lost = 0, won = 0;  // images that only the float, only the quantized model gets right

  // The share of accuracy that is lost, and its standard error: that of paired answers, smaller
  // than the one of two accuracies.
  double loss() const;
  double loss_error() const;
};

// Both (images, labels.size() long, by `classes`). Sums are in double, one per image, images in
// order. Throws an Error where sizes do not fit.
LogitMetrics compare_logits(std::span<const float> float_logits, std::span<const float> logits,
                            std::size_t classes, std::span<const std::int64_t> labels);

// Those that a store's record tells, a JSON object with their names as `evaluate --requests`
// answers them; null for a number that is not finite. Throws an Error where one is missing.
LogitMetrics logit_metrics_in(std::string_view record);

}  // namespace tensorquant

#endif  // TENSORQUANT_SEARCH_LOGIT_METRICS_H_
