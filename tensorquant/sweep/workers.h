#ifndef TENSORQUANT_SWEEP_WORKERS_H_
#define TENSORQUANT_SWEEP_WORKERS_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace tensorquant {

// What became of a request: an answer, or how the evaluator died that had it.
struct Outcome {
  std::size_t worker = 0;
  bool died = false;
  std::string text;
};

// Who evaluates: workers that each have one request at a time. Requests and answers are lines.
class Workers {
 public:
  Workers() = default;
  virtual ~Workers() = default;
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  virtual std::size_t count() const = 0;
  // To a worker without a request.
  virtual void give(std::size_t worker, const std::string& request) = 0;
  // The next outcome; nothing where none comes in about that time.
  virtual std::optional<Outcome> wait(std::chrono::milliseconds longest) = 0;
};

// One worker: this process, which works in wait(). What the function throws comes out of it.
class OwnProcess : public Workers {
 public:
  explicit OwnProcess(std::function<std::string(const std::string&)> answer)
      : answer_(std::move(answer)) {}

  std::size_t count() const override { return 1; }
  void give(std::size_t, const std::string& request) override { request_ = request; }
  std::optional<Outcome> wait(std::chrono::milliseconds) override {
    return Outcome{0, false, answer_(request_)};
  }

 private:
  std::function<std::string(const std::string&)> answer_;
  std::string request_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_SWEEP_WORKERS_H_
