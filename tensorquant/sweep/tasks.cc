#include "tensorquant/sweep/tasks.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

using nlohmann::json;

constexpr std::size_t kDeaths = 3;               // of evaluators, that a task may cost
constexpr std::size_t kLostStarts = 10;          // whose outcome nobody lived to tell
constexpr std::size_t kAlone = 3;                // such starts, after which a task runs by itself
constexpr std::chrono::milliseconds kLook{100};  // between looks at `ends`
constexpr std::chrono::seconds kRefresh{1};      // between looks at others' records

std::string failure(const std::string& reason) {
  return json{{"error", reason}}.dump(-1, ' ', false, json::error_handler_t::replace);
}

class Manager {
 public:
  Manager(Store& store, std::span<const Task> tasks, Workers& workers, const TaskSettings& settings)
      : store_(store), settings_(settings), workers_(workers), at_(workers.count()) {
    std::set<std::string> seen;
    for (const Task& task : tasks) {
      if (!seen.insert(task.key).second) continue;
      ++all_;
      const bool has_record = store.find(task.key).has_value();
      if (has_record && !(settings.retry && has_failed(store, task.key))) continue;
      Open one = {&task, 0, 0};
      // What is tried again has a clean sheet.
      if (has_record) one = {&task, count("died", task), count("started", task)};
      open_.push_back(one);
    }
    done_ = all_ - open_.size();
    // By all starts, those before a retry, too: what took the job along once may do it again.
    std::stable_sort(open_.begin(), open_.end(), [this](const Open& a, const Open& b) {
      return count("started", *a.task) < count("started", *b.task);
    });
  }

  std::size_t run() {
    while (done_ < all_) {
      if (!stops()) give_out();
      if (running_ == 0) break;
      if (const std::optional<Outcome> outcome = workers_.wait(kLook)) take(*outcome);
    }
    if (done_ < all_) throw Error("interrupted");
    return evaluations_;
  }

 private:
  struct Open {
    const Task* task;
    std::size_t old_deaths, old_starts;
  };

  bool stops() const { return settings_.ends && settings_.ends(); }
  std::size_t count(const char* event, const Task& task) const {
    return store_.count(event, task.key);
  }
  std::size_t deaths(const Open& one) const { return count("died", *one.task) - one.old_deaths; }
  std::size_t starts(const Open& one) const { return count("started", *one.task) - one.old_starts; }

  // Where the whole job ends its tasks are all suspects; only one that runs by itself is found out.
  bool is_suspect(const Open& one) const { return starts(one) >= deaths(one) + kAlone; }

  // By another manager on the same store, meanwhile.
  bool was_done_elsewhere(const Open& one) {
    if (const auto now = std::chrono::steady_clock::now(); now - refreshed_ > kRefresh) {
      store_.refresh();
      refreshed_ = now;
    }
    return store_.find(one.task->key).has_value() && !has_failed(store_, one.task->key);
  }

  void give_out() {
    for (std::size_t worker = 0; worker < at_.size(); ++worker) {
      while (!at_[worker] && !open_.empty()) {
        const Open one = open_.front();
        if (was_done_elsewhere(one)) {
          open_.pop_front();
          ++done_;
          continue;
        }
        if (running_ > 0 && (is_alone_ || is_suspect(one))) return;
        open_.pop_front();
        is_alone_ = is_suspect(one);
        if (starts(one) >= deaths(one) + kLostStarts) {
          finish(one, failure("started " + std::to_string(starts(one)) +
                              " times, and each time all ended before it had a result"));
          continue;
        }
        store_.note("started", one.task->key, true);
        workers_.give(worker, one.task->request);
        at_[worker] = one;
        ++running_;
      }
    }
  }

  void take(const Outcome& outcome) {
    const Open one = *std::exchange(at_[outcome.worker], std::nullopt);
    --running_;
    ++evaluations_;
    if (!outcome.died) {
      has_answers_ = true;
      return finish(one, outcome.text);
    }
    store_.note("died", one.task->key, false);
    if (deaths(one) < kDeaths) return open_.push_back(one);
    finish(one, failure("its evaluator died " + std::to_string(kDeaths) + " times, at last " +
                        outcome.text));
    // Nothing but deaths is no fault of the tasks, unless there is but one.
    if (!has_answers_ && ++killers_ == kDeaths) {
      throw Error("evaluators do nothing but die, at last " + outcome.text);
    }
  }

  void finish(const Open& one, const std::string& answer) {
    const bool is_answer = json::parse(answer, nullptr, false).is_object();
    store_.put(one.task->key,
               settings_.record(*one.task, is_answer ? answer : failure("answered " + answer)));
    ++done_;
    if (settings_.after) settings_.after(done_);
  }

  Store& store_;
  const TaskSettings& settings_;
  Workers& workers_;
  std::vector<std::optional<Open>> at_;  // each worker
  std::deque<Open> open_;
  std::chrono::steady_clock::time_point refreshed_ = std::chrono::steady_clock::now();
  std::size_t all_ = 0, done_ = 0, running_ = 0, evaluations_ = 0, killers_ = 0;
  bool has_answers_ = false, is_alone_ = false;
};

}  // namespace

std::size_t run_tasks(Store& store, std::span<const Task> tasks, Workers& workers,
                      const TaskSettings& settings) {
  return Manager(store, tasks, workers, settings).run();
}

bool has_failed(const Store& store, const std::string& key) {
  const std::optional<std::string> record = store.find(key);
  return record && json::parse(*record).contains("error");
}

}  // namespace tensorquant
