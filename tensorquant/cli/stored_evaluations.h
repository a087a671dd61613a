#ifndef TENSORQUANT_CLI_STORED_EVALUATIONS_H_
#define TENSORQUANT_CLI_STORED_EVALUATIONS_H_

#include <cstddef>
#include <functional>
#include <string>

#include "tensorquant/models/evaluator.h"
#include "tensorquant/store/store.h"

namespace tensorquant::cli {

// Evaluations of maps on one set of images, each of them made once: the store has the others.
class StoredEvaluations {
 public:
  // `purpose` stands in records for people to read: "score". `after` is called after each answer
  // with the number of answers so far. Keeps references to the first three.
  StoredEvaluations(Store& store, Evaluator& evaluator, const ImageDataset& data,
                    std::string purpose, std::function<void(std::size_t)> after = {});

  // A KL or an error that is no finite number is infinite.
  LogitMetrics operator()(const Override& maps);

  std::size_t evaluations() const { return evaluations_; }  // those made now

 private:
  Store& store_;
  Evaluator& evaluator_;
  std::string images_;  // the fingerprint
  std::string purpose_;
  std::function<void(std::size_t)> after_;
  std::size_t answers_ = 0, evaluations_ = 0;
};

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_STORED_EVALUATIONS_H_
