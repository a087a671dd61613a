#include "tensorquant/sweep/local_workers.h"

#include <poll.h>

namespace tensorquant {

LocalWorkers::LocalWorkers(std::size_t count, const std::vector<std::string>& command)
    : busy_(count, false) {
  for (std::size_t i = 0; i < count; ++i) {
    processes_.push_back(std::make_unique<EvaluatorProcess>(command));
  }
}

void LocalWorkers::give(std::size_t worker, const std::string& request) {
  processes_[worker]->send(request);
  busy_[worker] = true;
}

std::optional<Outcome> LocalWorkers::wait(std::chrono::milliseconds longest) {
  std::vector<pollfd> ready;
  for (std::size_t i = 0; i < count(); ++i) {
    ready.push_back({busy_[i] ? processes_[i]->descriptor() : -1, POLLIN, 0});
  }
  if (poll(ready.data(), ready.size(), static_cast<int>(longest.count())) <= 0) return {};
  for (std::size_t k = 0; k < count(); ++k) {
    const std::size_t i = (next_ + k) % count();
    if (ready[i].revents == 0) continue;
    auto received = processes_[i]->receive();
    if (!received) continue;
    busy_[i] = false;
    next_ = i + 1;
    return Outcome{i, received->died, std::move(received->text)};
  }
  return {};
}

}  // namespace tensorquant
