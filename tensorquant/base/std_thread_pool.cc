#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

#include "tensorquant/base/own_thread_pool.h"

namespace tensorquant {
namespace {

// Workers wait for calls of run() and help with the oldest that has tasks left. The caller works on
// its own tasks too, so that a call ends even where no worker is free.
class StdThreadPool final : public ThreadPool {
 public:
  int threads() const override {
    const int wanted = wanted_threads();
    return wanted > 0 ? wanted : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }

  void run(int tasks, const std::function<void(int)>& task) override {
    Call call{&task, tasks, tasks};
    std::unique_lock lock(mutex_);
    for (; workers_ < tasks - 1; ++workers_) std::thread([this] { work(); }).detach();
    calls_.push_back(&call);
    work_to_do_.notify_all();
    while (call.next < tasks) run_next(call, lock);
    call.finished.wait(lock, [&] { return call.unfinished == 0; });
  }

 private:
  struct Call {
    const std::function<void(int)>* task;
    int tasks;
    int unfinished;
    int next = 0;
    std::condition_variable finished = {};
  };

  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      work_to_do_.wait(lock, [&] { return !calls_.empty(); });
      run_next(*calls_.front(), lock);
    }
  }

  // Runs one task that nobody has begun; the lock is open meanwhile.
  void run_next(Call& call, std::unique_lock<std::mutex>& lock) {
    const int i = call.next++;
    if (call.next == call.tasks) calls_.remove(&call);
    lock.unlock();
    (*call.task)(i);
    lock.lock();
    if (--call.unfinished == 0) call.finished.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable work_to_do_;
  std::list<Call*> calls_;  // those with tasks that nobody has begun
  int workers_ = 0;
};

std::atomic<StdThreadPool*> own_pool;

// Threads do not live on in a forked process, and a lock may have been closed when it began: it
// gets a pool of its own.
void renew_pool() { own_pool = new StdThreadPool; }

}  // namespace

ThreadPool& own_thread_pool() {
  static const bool is_ready = [] {
    renew_pool();
    return pthread_atfork(nullptr, nullptr, renew_pool) == 0;
  }();
  static_cast<void>(is_ready);
  return *own_pool;
}

}  // namespace tensorquant
