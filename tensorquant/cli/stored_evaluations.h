#ifndef TENSORQUANT_CLI_STORED_EVALUATIONS_H_
#define TENSORQUANT_CLI_STORED_EVALUATIONS_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensorquant/cli/interrupt.h"
#include "tensorquant/cli/searched_model.h"
#include "tensorquant/models/evaluator.h"
#include "tensorquant/store/store.h"
#include "tensorquant/sweep/tasks.h"

namespace tensorquant::cli {

// A model, and who evaluates it.
struct EvaluatedModel {
  ModelSource source;
  std::string fingerprint;  // of its weights
  std::size_t batch_size;
  const Interrupt& interrupt;
  Workers* workers = nullptr;  // null: this process
  bool retry = false;
};

// Evaluations of maps on one set of images, each of them made once: the store has the others.
class StoredEvaluations {
 public:
  // `purpose` stands in records for people to read: "score". `after` is called after each answer
  // with the number of answers so far. Keeps references to the store and the samples.
  StoredEvaluations(Store& store, EvaluatedModel model, const SearchedSamples& samples,
                    std::string purpose, std::function<void(std::size_t)> after = {});

  // A KL or an error that is no finite number is infinite. An Error where a map has no result.
  LogitMetrics operator()(const Override& maps) { return all({&maps, 1}).front(); }
  // In any order, at once where there is who does it.
  std::vector<LogitMetrics> all(std::span<const Override> maps);
  // The same, with what went wrong told for each map.
  struct Result {
    LogitMetrics metrics;
    std::string error;  // "": there are metrics
  };
  std::vector<Result> results(std::span<const Override> maps);
  // Only sees to it that the store has them, results or errors.
  void make(std::span<const Override> maps);

  std::size_t evaluations() const { return evaluations_; }  // those made now

 private:
  std::string request(const Override& maps) const;
  Task task(const Override& maps) const;
  std::string record(const Task& task, const std::string& answer) const;
  std::string answer(const std::string& request);

  Store& store_;
  EvaluatedModel model_;
  const SearchedSamples& samples_;
  nlohmann::ordered_json request_;
  std::string purpose_;
  std::function<void(std::size_t)> after_;
  std::unique_ptr<Evaluator> evaluator_;  // of this process
  std::size_t answers_ = 0, evaluations_ = 0;
};

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_STORED_EVALUATIONS_H_
