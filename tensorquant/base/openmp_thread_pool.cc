#include <omp.h>

#include "tensorquant/base/own_thread_pool.h"

namespace tensorquant {
namespace {

class OpenMpThreadPool final : public ThreadPool {
 public:
  int threads() const override {
    if (omp_in_parallel()) return 1;
    const int wanted = wanted_threads();
    return wanted > 0 ? wanted : omp_get_max_threads();
  }

  void run(int tasks, const std::function<void(int)>& task) override {
#pragma omp parallel for schedule(static) num_threads(tasks)
    for (int i = 0; i < tasks; ++i) task(i);
  }
};

}  // namespace

ThreadPool& own_thread_pool() {
  static OpenMpThreadPool pool;
  return pool;
}

}  // namespace tensorquant
