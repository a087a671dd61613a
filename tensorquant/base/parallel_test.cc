#include "tensorquant/base/parallel.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tensorquant/base/error.h"

namespace tensorquant {
namespace {

constexpr std::size_t kMany = 1000000;

// A host's pool: it starts a thread for each task and counts what it is given.
class HostPool final : public ThreadPool {
 public:
  explicit HostPool(int threads) : threads_(threads) {}
  int threads() const override { return threads_; }
  void run(int tasks, const std::function<void(int)>& task) override {
    tasks_ += tasks;
    std::vector<std::thread> all;
    for (int i = tasks - 1; i >= 0; --i) all.emplace_back(task, i);
    for (std::thread& thread : all) thread.join();
  }
  int tasks() const { return tasks_; }

 private:
  int threads_;
  std::atomic<int> tasks_ = 0;
};

class OwnThreads {
 public:
  explicit OwnThreads(int threads) { set_num_threads(threads); }
  ~OwnThreads() { set_num_threads(0); }
};

// How often parallel_for reaches each of `count` elements.
std::vector<int> visits(std::size_t count, std::size_t block) {
  std::vector<int> visited(count);
  parallel_for(count, block, [&](std::size_t begin, std::size_t end) {
    EXPECT_LT(begin, end);
    EXPECT_EQ(begin % block, 0u);
    EXPECT_TRUE(end == count || end % block == 0) << end;
    for (std::size_t i = begin; i < end; ++i) ++visited[i];
  });
  return visited;
}

int calls_of_body(std::size_t count, std::size_t block) {
  std::atomic<int> calls = 0;
  parallel_for(count, block, [&](std::size_t, std::size_t) { ++calls; });
  return calls;
}

TEST(ParallelFor, ReachesEveryElementOnceInWholeBlocks) {
  for (int threads : {1, 2, 3, 8}) {
    const OwnThreads own(threads);
    for (std::size_t count : {0u, 1u, 32767u, 32768u, 32769u, 100000u}) {
      for (std::size_t block : {1u, 7u, 1024u, 50000u, 200000u}) {
        EXPECT_EQ(visits(count, block), std::vector<int>(count, 1)) << count << " by " << block;
      }
    }
  }
}

TEST(ParallelFor, UsesAsManyThreadsAsAskedForWhereTheWorkIsWorthIt) {
  const OwnThreads own(3);
  EXPECT_EQ(num_threads(), 3);
  EXPECT_EQ(calls_of_body(kMany, 1), 3);
  EXPECT_EQ(calls_of_body(kMany, kMany / 2), 2);
  EXPECT_EQ(calls_of_body(1000, 1), 1);
}

TEST(ParallelFor, IsSerialWithinItself) {
  const OwnThreads own(4);
  std::atomic<int> outer = 0, inner = 0;
  parallel_for(kMany, 1, [&](std::size_t, std::size_t) {
    ++outer;
    EXPECT_EQ(num_threads(), 1);
    const std::thread::id here = std::this_thread::get_id();
    parallel_for(kMany, 1, [&](std::size_t, std::size_t) {
      ++inner;
      EXPECT_EQ(std::this_thread::get_id(), here);
    });
  });
  EXPECT_EQ(outer, 4);
  EXPECT_EQ(inner, 4);
  EXPECT_EQ(num_threads(), 4);
}

TEST(ParallelFor, MayBeCalledByManyThreadsAtATime) {
  const OwnThreads own(3);
  std::vector<std::size_t> sums(6);
  std::vector<std::thread> callers;
  callers.reserve(sums.size());
  for (std::size_t& sum : sums) {
    callers.emplace_back([&sum] {
      for (int i = 0; i < 20; ++i) {
        const std::vector<int> visited = visits(100000, 128);
        sum += std::accumulate(visited.begin(), visited.end(), std::size_t{0});
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sums, std::vector<std::size_t>(6, 2000000));
}

TEST(ParallelFor, ThrowsWhatTheFirstRangeThrowsAfterAllAreDone) {
  HostPool host(4);
  for (ThreadPool* pool : {static_cast<ThreadPool*>(nullptr), static_cast<ThreadPool*>(&host)}) {
    const OwnThreads own(4);
    set_thread_pool(pool);
    std::atomic<int> begun = 0;
    try {
      parallel_for(kMany, 1, [&](std::size_t begin, std::size_t) {
        ++begun;
        if (begin > 0) throw std::runtime_error(std::to_string(begin));
      });
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& e) {
      EXPECT_EQ(std::string(e.what()), std::to_string(kMany / 4));
    }
    EXPECT_EQ(begun, 4);
    EXPECT_EQ(calls_of_body(kMany, 1), 4) << "the pool works no more";
  }
  set_thread_pool(nullptr);
}

TEST(ScopedThreadPool, LendsAHostsThreadsToTheThreadThatOpensIt) {
  const OwnThreads own(2);
  HostPool host(5);
  {
    const ScopedThreadPool scope(host);
    EXPECT_EQ(num_threads(), 5);
    EXPECT_EQ(visits(kMany, 16), std::vector<int>(kMany, 1));
    EXPECT_EQ(host.tasks(), 5);
    std::thread([] { EXPECT_EQ(num_threads(), 2); }).join();
    {
      const ScopedThreadPool serial(serial_thread_pool());
      EXPECT_EQ(calls_of_body(kMany, 1), 1);
    }
    EXPECT_EQ(num_threads(), 5);
  }
  EXPECT_EQ(num_threads(), 2);
  EXPECT_EQ(host.tasks(), 5);
}

TEST(SetThreadPool, LendsAHostsThreadsToTheWholeProcess) {
  HostPool host(3);
  set_thread_pool(&host);
  std::thread([] { EXPECT_EQ(calls_of_body(kMany, 1), 3); }).join();
  set_thread_pool(nullptr);
  EXPECT_EQ(host.tasks(), 3);
}

TEST(SetNumThreads, RefusesNegativeNumbersAndTakesZeroForAll) {
  EXPECT_THROW(set_num_threads(-1), Error);
  const int all = num_threads();
  EXPECT_GE(all, 1);
  set_num_threads(all + 1);
  EXPECT_EQ(num_threads(), all + 1);
  set_num_threads(0);
  EXPECT_EQ(num_threads(), all);
}

// OpenMP's own threads do not survive a fork, and ThreadSanitizer forbids new ones after it.
#if !defined(TENSORQUANT_OPENMP) && !defined(__SANITIZE_THREAD__)
TEST(OwnThreadPool, WorksInAForkedProcess) {
  const OwnThreads own(3);
  EXPECT_EQ(calls_of_body(kMany, 1), 3);
  const pid_t child = fork();
  if (child == 0) _exit(visits(kMany, 16) == std::vector<int>(kMany, 1) ? 0 : 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}
#endif

}  // namespace
}  // namespace tensorquant
