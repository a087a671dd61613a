#ifndef TENSORQUANT_CLI_EVALUATION_REQUESTS_H_
#define TENSORQUANT_CLI_EVALUATION_REQUESTS_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "tensorquant/models/evaluator.h"

namespace tensorquant::cli {

class SearchedModel;

// The answer's part that tells what a map does on some images, against the float network. A KL or
// an error that is no finite number is null.
nlohmann::ordered_json measured(Evaluator& evaluator, const Override& maps);

// Answers {"model": ..., "checkpoint": ..., "batch_size": ..., "data": {"path": ..., "split": ...,
// "first": ..., "images": ...}, "maps": {...}, "seed": ..., "strict": ...} by {"images": ...,
// "correct": ..., "kl": ..., ...}, or by {"error": ...}, with "has_subject": false where checkpoint
// or images cannot be read. An ONNX file has no checkpoint, but "onnx": {"names": ..., ...}. What
// was read for one request serves the next.
class EvaluationRequests {
 public:
  // `defaults` stand in for what a request leaves out. `after_batch` may throw to end an answer.
  EvaluationRequests(nlohmann::ordered_json defaults, std::function<void()> after_batch);
  ~EvaluationRequests();

  // A line for a line, whatever it says.
  std::string answer(const std::string& request);

 private:
  struct Subject;

  nlohmann::ordered_json result(const nlohmann::ordered_json& request);
  Subject& subject(const nlohmann::ordered_json& request);
  Subject& subject_or_none(const nlohmann::ordered_json& request);

  nlohmann::ordered_json defaults_;
  std::function<void()> after_batch_;
  std::map<std::string, std::unique_ptr<SearchedModel>> models_;
  std::map<std::string, std::unique_ptr<Subject>> subjects_;
};

// Reads requests from stdin and writes answers to stdout until stdin ends or nobody reads stdout.
void serve_requests(const nlohmann::ordered_json& defaults);

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_EVALUATION_REQUESTS_H_
