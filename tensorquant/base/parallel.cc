#include "tensorquant/base/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <string>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/base/own_thread_pool.h"

namespace tensorquant {
namespace {

// Waking another thread costs as much as quantizing some ten thousand elements.
constexpr std::size_t kSerialCount = 32768;

class SerialThreadPool final : public ThreadPool {
 public:
  int threads() const override { return 1; }
  void run(int tasks, const std::function<void(int)>& task) override {
    for (int i = 0; i < tasks; ++i) task(i);
  }
};

std::atomic<int> wanted = 0;
std::atomic<ThreadPool*> process_pool = nullptr;
thread_local ThreadPool* scoped_pool = nullptr;
thread_local bool is_inside_loop = false;

ThreadPool& current_pool() {
  if (scoped_pool != nullptr) return *scoped_pool;
  ThreadPool* const pool = process_pool;
  return pool != nullptr ? *pool : own_thread_pool();
}

class InsideLoop {
 public:
  InsideLoop() : outer_(is_inside_loop) { is_inside_loop = true; }
  ~InsideLoop() { is_inside_loop = outer_; }
  InsideLoop(const InsideLoop&) = delete;
  InsideLoop& operator=(const InsideLoop&) = delete;

 private:
  bool outer_;
};

}  // namespace

ThreadPool& serial_thread_pool() {
  static SerialThreadPool pool;
  return pool;
}

void set_thread_pool(ThreadPool* pool) { process_pool = pool; }

ScopedThreadPool::ScopedThreadPool(ThreadPool& pool) : outer_(scoped_pool) { scoped_pool = &pool; }
ScopedThreadPool::~ScopedThreadPool() { scoped_pool = outer_; }

void set_num_threads(int threads) {
  if (threads < 0) throw Error("set_num_threads: " + std::to_string(threads) + " is negative");
  wanted = threads;
}

int wanted_threads() { return wanted; }

int num_threads() { return is_inside_loop ? 1 : std::max(1, current_pool().threads()); }

void parallel_for(std::size_t count, std::size_t block,
                  const std::function<void(std::size_t begin, std::size_t end)>& body) {
  const std::size_t blocks = (count + block - 1) / block;
  const std::size_t threads =
      count < kSerialCount ? 1
                           : std::min<std::size_t>(blocks, static_cast<unsigned>(num_threads()));
  if (threads <= 1) {
    if (count > 0) body(0, count);
    return;
  }
  const std::size_t chunk = (blocks + threads - 1) / threads * block;
  const std::size_t tasks = (count + chunk - 1) / chunk;
  std::vector<std::exception_ptr> errors(tasks);
  current_pool().run(static_cast<int>(tasks), [&](int task) {
    const InsideLoop inside;
    const auto i = static_cast<std::size_t>(task);
    try {
      body(i * chunk, std::min(count, (i + 1) * chunk));
    } catch (...) {
      errors[i] = std::current_exception();
    }
  });
  for (const std::exception_ptr& error : errors) {
    if (error != nullptr) std::rethrow_exception(error);
  }
}

}  // namespace tensorquant
