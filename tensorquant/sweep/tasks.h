#ifndef TENSORQUANT_SWEEP_TASKS_H_
#define TENSORQUANT_SWEEP_TASKS_H_

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "tensorquant/store/store.h"
#include "tensorquant/sweep/workers.h"

namespace tensorquant {

// A key of the store and the request whose answer makes its record.
struct Task {
  std::string key, request;
};

struct TaskSettings {
  // The record of an answer, a JSON object: with an "error" where there is no result. Throws an
  // Error, which ends all, where the evaluator is not what it should be.
  std::function<std::string(const Task& task, const std::string& answer)> record;
  // A request that every evaluator answers which works at all, whatever the answer.
  std::string harmless;
  // True: no new tasks; those that run come to their end.
  std::function<bool()> ends = {};
  // Called with the number of tasks that have a record, after each of them.
  std::function<void(std::size_t done)> after = {};
  bool retry = false;  // those that have an error for a record
};

// Gives every task a record in the store, whoever dies meanwhile; the number of evaluations made.
//
// Each start is noted in the store. A task whose evaluator dies is given out again; the third death
// is its record, an error. So is the tenth start of which no process lives to tell the outcome: a
// task that takes the whole job along. Those with such starts come last, and from the third on each
// by itself, so that others are done and none is blamed for its neighbour.
//
// No task is blamed for evaluators that do nothing but die: before the first answer deaths are not
// noted, and where a task has three of them an evaluator must answer the harmless request. Nor is
// one for an end that this process sees coming: what runs then is noted as stopped.
//
// Throws an Error where `ends` said so before all was done, where the store cannot be written, and
// where evaluators die of the harmless request too.
std::size_t run_tasks(Store& store, std::span<const Task> tasks, Workers& workers,
                      const TaskSettings& settings);

// Whether a task's record in the store is an error.
bool has_failed(const Store& store, const std::string& key);

}  // namespace tensorquant

#endif  // TENSORQUANT_SWEEP_TASKS_H_
