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

std::size_t difference(std::size_t now, std::size_t before) { return now - std::min(before, now); }

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
      Open one = {.task = &task};
      // What is tried again has a clean sheet.
      if (has_record) {
        one.old_deaths = store.count("died", task.key);
        one.old_lost_starts = store.lost_starts(task.key);
      }
      open_.push_back(one);
    }
    done_ = all_ - open_.size();
    // By all starts, those before a retry, too: what took the job along once may do it again. And
    // what another manager evaluates now may have a result when its turn comes.
    std::stable_sort(open_.begin(), open_.end(), [&store](const Open& a, const Open& b) {
      return store.count("started", a.task->key) < store.count("started", b.task->key);
    });
  }

  std::size_t run() {
    try {
      while (done_ < all_ || asked_) {
        stops() ? give_back() : give_out();
        if (running_ == 0) break;
        if (const std::optional<Outcome> outcome = workers_.wait(kLook)) take(*outcome);
      }
    } catch (...) {
      give_back();
      throw;
    }
    if (done_ < all_) throw Error("interrupted");
    return evaluations_;
  }

 private:
  struct Open {
    const Task* task;
    std::size_t old_deaths = 0, old_lost_starts = 0;
    std::size_t unnoted_deaths = 0;  // before any evaluator has answered
    std::string death = {};          // the last one
  };

  bool stops() const { return settings_.ends && settings_.ends(); }
  std::size_t deaths(const Open& one) const {
    return difference(store_.count("died", one.task->key), one.old_deaths) + one.unnoted_deaths;
  }
  std::size_t lost_starts(const Open& one) const {
    return difference(store_.lost_starts(one.task->key), one.old_lost_starts);
  }

  // Where the whole job ends its tasks are all suspects; only one that runs by itself is found out.
  bool is_suspect(const Open& one) const { return lost_starts(one) >= kAlone; }

  // By another manager on the same store, meanwhile.
  bool was_done_elsewhere(const Open& one) {
    if (const auto now = std::chrono::steady_clock::now(); now - refreshed_ > kRefresh) {
      store_.refresh();
      refreshed_ = now;
    }
    return store_.find(one.task->key).has_value() && !has_failed(store_, one.task->key);
  }

  void give_out() {
    if (!accused_.empty()) return ask_harmless();
    for (std::size_t worker = 0; worker < at_.size(); ++worker) {
      if (worker == asked_) continue;
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
        if (const std::size_t lost = lost_starts(one); lost >= kLostStarts) {
          finish(one, failure("started " + std::to_string(lost) +
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

  // Of one worker, while no other gets anything new.
  void ask_harmless() {
    const auto free = std::find(at_.begin(), at_.end(), std::nullopt);
    if (asked_ || free == at_.end()) return;
    asked_ = static_cast<std::size_t>(free - at_.begin());
    workers_.give(*asked_, settings_.harmless);
    ++running_;
  }

  void take(const Outcome& outcome) {
    --running_;
    if (asked_ == outcome.worker) {
      asked_.reset();
      if (!outcome.died) return believe_deaths();
      if (++harmless_deaths_ < kDeaths) return;
      throw Error("evaluators do nothing but die, at last " + outcome.text);
    }
    ++evaluations_;
    Open& one = *at_[outcome.worker];
    if (!outcome.died) {
      believe_deaths();
      finish(one, outcome.text);
    } else if (stops()) {
      give_back();  // the signal may have been for the evaluator, too
      open_.push_back(one);
    } else {
      ++one.unnoted_deaths;
      one.death = outcome.text;
      if (has_answers_) note_deaths(one, "died");
      count_deaths(one);
    }
    at_[outcome.worker].reset();
  }

  void count_deaths(const Open& one) {
    if (deaths(one) < kDeaths) return open_.push_back(one);
    if (!has_answers_) return accused_.push_back(one);
    finish(one, failure("its evaluator died " + std::to_string(kDeaths) + " times, at last " +
                        one.death));
  }

  // Evaluators can answer: one that dies does so of its task.
  void believe_deaths() {
    if (std::exchange(has_answers_, true)) return;
    for_each_open([this](Open& one) { note_deaths(one, "died"); });
    for (const Open& one : std::exchange(accused_, {})) count_deaths(one);
  }

  void note_deaths(Open& one, const char* event) {
    for (; one.unnoted_deaths > 0; --one.unnoted_deaths) store_.note(event, one.task->key, false);
  }

  // What this process starts and does not see the end of is no fault of the tasks. They may yet
  // have results, where they are waited for.
  void give_back() noexcept {
    if (std::exchange(has_given_back_, true)) return;
    try {
      for_each_open([this](Open& one) { note_deaths(one, "stopped"); });
      for (const std::optional<Open>& one : at_) {
        if (one) store_.note("stopped", one->task->key, false);
      }
    } catch (const std::exception&) {
      // A store that cannot be written is the error already, or that of the next result.
    }
  }

  template <typename Function>
  void for_each_open(Function function) {
    for (std::optional<Open>& one : at_) {
      if (one) function(*one);
    }
    for (Open& one : open_) function(one);
    for (Open& one : accused_) function(one);
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
  std::vector<Open> accused_;         // of their third death, before any answer
  std::optional<std::size_t> asked_;  // the worker that has the harmless request
  std::chrono::steady_clock::time_point refreshed_ = std::chrono::steady_clock::now();
  std::size_t all_ = 0, done_ = 0, running_ = 0, evaluations_ = 0, harmless_deaths_ = 0;
  bool has_answers_ = false, is_alone_ = false, has_given_back_ = false;
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
