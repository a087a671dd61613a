#ifndef TENSORQUANT_SWEEP_LOCAL_WORKERS_H_
#define TENSORQUANT_SWEEP_LOCAL_WORKERS_H_

#include <memory>
#include <string>
#include <vector>

#include "tensorquant/sweep/evaluator_process.h"
#include "tensorquant/sweep/workers.h"

namespace tensorquant {

// Evaluator processes on this machine.
class LocalWorkers : public Workers {
 public:
  LocalWorkers(std::size_t count, const std::vector<std::string>& command);

  std::size_t count() const override { return processes_.size(); }
  void give(std::size_t worker, const std::string& request) override;
  std::optional<Outcome> wait(std::chrono::milliseconds longest) override;

 private:
  std::vector<std::unique_ptr<EvaluatorProcess>> processes_;
  std::vector<bool> busy_;
  std::size_t next_ = 0;  // is looked at first: nobody is kept waiting by the others
};

}  // namespace tensorquant

#endif  // TENSORQUANT_SWEEP_LOCAL_WORKERS_H_
