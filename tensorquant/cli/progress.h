#ifndef TENSORQUANT_CLI_PROGRESS_H_
#define TENSORQUANT_CLI_PROGRESS_H_

#include <chrono>
#include <cstddef>
#include <string>

namespace tensorquant::cli {

// One line on a terminal's stderr that says how far long work is and how long it will take; nothing
// where stderr is no terminal. The line is gone at the end.
class Progress {
 public:
  explicit Progress(std::size_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` of the total are done, counted from the start of this object's life.
  void update(std::size_t done, const std::string& text);

 private:
  using Clock = std::chrono::steady_clock;

  bool visible_;
  std::size_t total_;
  Clock::time_point start_;
  Clock::time_point shown_;
};

}  // namespace tensorquant::cli

#endif  // TENSORQUANT_CLI_PROGRESS_H_
