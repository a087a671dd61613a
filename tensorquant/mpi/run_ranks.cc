#include "tensorquant/mpi/run_ranks.h"

#include <mpi.h>
#include <poll.h>
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <thread>
#include <utility>

#include "tensorquant/sweep/evaluator_process.h"

namespace tensorquant {
namespace {

using Clock = std::chrono::steady_clock;

enum Tag { kRequest = 1, kAnswer, kDeath, kStop };

// MPI's blocking calls keep a core busy.
constexpr std::chrono::milliseconds kNap{1};
constexpr int kLookForStop = 50;  // milliseconds

struct Message {
  int rank, tag;
  std::string text;
};

void send(int rank, int tag, const std::string& text) {
  MPI_Send(text.data(), static_cast<int>(text.size()), MPI_BYTE, rank, tag, MPI_COMM_WORLD);
}

// One that has come in.
std::optional<Message> receive() {
  int has_come = 0, size = 0;
  MPI_Status status;
  MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &has_come, &status);
  if (has_come == 0) return std::nullopt;
  MPI_Get_count(&status, MPI_BYTE, &size);
  Message message = {status.MPI_SOURCE, status.MPI_TAG,
                     std::string(static_cast<std::size_t>(size), '\0')};
  MPI_Recv(message.text.data(), size, MPI_BYTE, message.rank, message.tag, MPI_COMM_WORLD,
           MPI_STATUS_IGNORE);
  return message;
}

// The other ranks, seen from rank 0: rank 1 is worker 0.
class Ranks : public Workers {
 public:
  explicit Ranks(int ranks) : count_(static_cast<std::size_t>(ranks - 1)) {}

  // Those that are at work give up.
  ~Ranks() override {
    for (std::size_t i = 0; i < count_; ++i) send(static_cast<int>(i) + 1, kStop, "");
    while (running_ > 0) wait(std::chrono::milliseconds(1000));
  }

  std::size_t count() const override { return count_; }

  void give(std::size_t worker, const std::string& request) override {
    send(static_cast<int>(worker) + 1, kRequest, request);
    ++running_;
  }

  std::optional<Outcome> wait(std::chrono::milliseconds longest) override {
    const auto end = Clock::now() + longest;
    do {
      if (auto message = receive()) {
        const auto worker = static_cast<std::size_t>(message->rank - 1);
        --running_;
        return Outcome{worker, message->tag == kDeath, std::move(message->text)};
      }
      std::this_thread::sleep_for(kNap);
    } while (Clock::now() < end);
    return std::nullopt;
  }

 private:
  std::size_t count_;
  std::size_t running_ = 0;
};

// False: rank 0 says stop.
bool evaluate(EvaluatorProcess& evaluator, const std::string& request) {
  evaluator.send(request);
  while (true) {
    pollfd ready = {evaluator.descriptor(), POLLIN, 0};
    if (poll(&ready, 1, kLookForStop) > 0) {
      if (const auto received = evaluator.receive()) {
        send(0, received->died ? kDeath : kAnswer, received->text);
        return true;
      }
    } else if (receive()) {
      send(0, kDeath, "stopped");
      return false;
    }
  }
}

void work(EvaluatorProcess& evaluator) {
  // Rank 0 decides what such a signal means.
  signal(SIGINT, SIG_IGN);
  signal(SIGTERM, SIG_IGN);
  while (true) {
    const std::optional<Message> message = receive();
    if (!message) {
      std::this_thread::sleep_for(kNap);
    } else if (message->tag == kStop || !evaluate(evaluator, message->text)) {
      return;
    }
  }
}

// What launchers say before MPI does.
bool will_be_worker() {
  for (const char* const name :
       {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MPI_RANK", "SLURM_PROCID"}) {
    if (const char* const rank = std::getenv(name)) return std::string(rank) != "0";
  }
  return false;
}

}  // namespace

int run_ranks(int argc, char** argv, const std::vector<std::string>& command,
              const std::function<int(Workers* ranks)>& manage) {
  EvaluatorProcess evaluator(command);
  // Some fabrics dislike processes that are started behind MPI_Init.
  if (will_be_worker()) evaluator.start();
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 1, code = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  try {
    if (rank > 0) {
      work(evaluator);
    } else if (ranks == 1) {
      code = manage(nullptr);
    } else {
      Ranks workers(ranks);
      code = manage(&workers);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tensorquant-mpi: rank %d: %s\n", rank, error.what());
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  MPI_Finalize();
  return code;
}

}  // namespace tensorquant
