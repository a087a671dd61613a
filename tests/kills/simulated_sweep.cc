#include "tests/kills/simulated_sweep.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "tensorquant/store/store.h"
#include "tensorquant/sweep/local_workers.h"
#include "tensorquant/sweep/tasks.h"

namespace tensorquant {
namespace {

using nlohmann::json;

volatile sig_atomic_t ends = 0;

double processor_seconds() {
  rusage used;
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

int run(int argc, char** argv, Workers* ranks) {
  const int tasks = std::stoi(argv[2]), milliseconds = std::stoi(argv[3]);
  std::size_t jobs = 1;
  int dies = -1, takes_all = -1;
  TaskSettings settings;
  for (int i = 6; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--jobs") jobs = std::stoul(argv[++i]);
    if (option == "--dies") dies = std::stoi(argv[++i]);
    if (option == "--takes-all") takes_all = std::stoi(argv[++i]);
    if (option == "--retry") settings.retry = true;
  }
  std::ofstream(argv[5], std::ios::app) << "manager " << getpid() << std::endl;
  struct sigaction action = {};
  action.sa_handler = [](int) { ends = 1; };
  action.sa_flags = SA_RESETHAND;
  sigaction(SIGTERM, &action, nullptr);
  settings.ends = [] { return ends != 0; };
  settings.record = [](const Task&, const std::string& answer) { return answer; };
  settings.harmless = "{}";
  std::vector<Task> all;
  for (int task = 0; task < tasks; ++task) {
    const json request = {{"task", task},
                          {"milliseconds", milliseconds},
                          {"dies", task == dies},
                          {"takes_all", task == takes_all}};
    all.push_back({"task " + std::to_string(task), request.dump()});
  }
  std::unique_ptr<Workers> own;
  if (ranks == nullptr) {
    own = std::make_unique<LocalWorkers>(jobs, simulated_evaluator(argc, argv));
    ranks = own.get();
  }
  Store store(argv[1], R"({"model": "none"})");
  const auto start = std::chrono::steady_clock::now();
  const double processor = processor_seconds();
  const std::size_t evaluations = run_tasks(store, all, *ranks, settings);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::printf("%s\n", json{{"evaluations", evaluations},
                           {"seconds", seconds.count()},
                           {"processor_seconds", processor_seconds() - processor}}
                          .dump()
                          .c_str());
  return 0;
}

}  // namespace

std::vector<std::string> simulated_evaluator(int argc, char** argv) {
  if (argc < 6) return {"false"};
  return {argv[4], argv[5]};
}

int simulated_sweep(int argc, char** argv, Workers* ranks) {
  try {
    if (argc < 6) return 2;
    return run(argc, argv, ranks);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "simulated_sweep: %s\n", error.what());
    return 1;
  }
}

}  // namespace tensorquant
