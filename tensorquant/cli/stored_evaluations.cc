#include "tensorquant/cli/stored_evaluations.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "tensorquant/base/error.h"
#include "tensorquant/cli/json_report.h"
#include "tensorquant/cli/training_run.h"

namespace tensorquant::cli {
namespace {

using nlohmann::ordered_json;

double finite_or_infinite(double value) {
  return std::isfinite(value) ? value : std::numeric_limits<double>::infinity();
}

// JSON has no infinity: null.
double number_in(const ordered_json& record, const char* name) {
  const ordered_json& value = record.at(name);
  return value.is_null() ? std::numeric_limits<double>::infinity() : value.get<double>();
}

ordered_json record_of(const LogitMetrics& metrics) {
  return {{"images", metrics.images}, {"correct", metrics.correct},
          {"kl", metrics.kl},         {"logit_error", metrics.logit_error},
          {"flips", metrics.flips},   {"lost", metrics.lost},
          {"won", metrics.won}};
}

LogitMetrics metrics_in(const std::string& text, const std::string& key) {
  try {
    const ordered_json record = ordered_json::parse(text);
    LogitMetrics metrics;
    metrics.images = record.at("images");
    metrics.correct = record.at("correct");
    metrics.kl = number_in(record, "kl");
    metrics.logit_error = number_in(record, "logit_error");
    metrics.flips = record.at("flips");
    metrics.lost = record.at("lost");
    metrics.won = record.at("won");
    return metrics;
  } catch (const nlohmann::json::exception& error) {
    throw Error("the store's record of '" + key + "': " + error.what());
  }
}

}  // namespace

StoredEvaluations::StoredEvaluations(Store& store, Evaluator& evaluator, const ImageDataset& data,
                                     std::string purpose, std::function<void(std::size_t)> after)
    : store_(store),
      evaluator_(evaluator),
      images_(fingerprint(data)),
      purpose_(std::move(purpose)),
      after_(std::move(after)) {}

LogitMetrics StoredEvaluations::operator()(const Override& maps) {
  const std::string key = ordered_json{{"data", images_}, {"maps", to_json(maps)}}.dump();
  std::optional<std::string> record = store_.find(key);
  if (!record) {
    const auto start = std::chrono::steady_clock::now();
    LogitMetrics metrics = evaluator_.metrics(maps);
    metrics.kl = finite_or_infinite(metrics.kl);
    metrics.logit_error = finite_or_infinite(metrics.logit_error);
    ordered_json made = record_of(metrics);
    made["maps"] = to_json(maps);
    made["purpose"] = purpose_;
    made["seconds"] =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    record = made.dump();
    store_.put(key, *record);
    ++evaluations_;
  }
  ++answers_;
  if (after_) after_(answers_);
  return metrics_in(*record, key);
}

}  // namespace tensorquant::cli
