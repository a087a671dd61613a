#include "tensorquant/sweep/evaluator_process.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "tensorquant/base/error.h"

extern char** environ;

namespace tensorquant {
namespace {

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status)) return "by signal " + std::to_string(WTERMSIG(status));
  return "with exit code " + std::to_string(WEXITSTATUS(status));
}

// A group of its own: a terminal's ctrl-C is its owner's affair. Signals as by default.
pid_t spawn(std::vector<std::string>& command, int socket) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, socket, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, socket, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  sigset_t by_default;
  sigemptyset(&by_default);
  sigaddset(&by_default, SIGINT);
  sigaddset(&by_default, SIGTERM);
  posix_spawnattr_setsigdefault(&attributes, &by_default);
  posix_spawnattr_setpgroup(&attributes, 0);
  pid_t process = -1;
  const int failure =
      posix_spawnp(&process, arguments[0], &files, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (failure != 0) throw Error(command[0] + ": " + std::strerror(failure));
  return process;
}

bool send_all(int socket, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR) return false;
    if (sent > 0) text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

}  // namespace

EvaluatorProcess::EvaluatorProcess(std::vector<std::string> command)
    : command_(std::move(command)) {}

EvaluatorProcess::~EvaluatorProcess() { end(); }

void EvaluatorProcess::start() {
  if (process_ > 0) return;
  std::array<int, 2> sockets = {};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) {
    throw Error(std::string("no socket for an evaluator: ") + std::strerror(errno));
  }
  try {
    process_ = spawn(command_, sockets[1]);
  } catch (...) {
    close(sockets[0]);
    close(sockets[1]);
    throw;
  }
  close(sockets[1]);
  descriptor_ = sockets[0];
  unread_.clear();
}

void EvaluatorProcess::send(const std::string& request) {
  // One that died while it had nothing to do is no event: it left a socket at its end.
  if (process_ > 0) {
    pollfd at_end = {descriptor_, POLLIN, 0};
    if (poll(&at_end, 1, 0) > 0) end();
  }
  start();
  // Where this fails receive() tells of the death.
  static_cast<void>(send_all(descriptor_, request + "\n"));
}

std::optional<EvaluatorProcess::Received> EvaluatorProcess::receive() {
  std::array<char, 65536> bytes;
  const ssize_t got = read(descriptor_, bytes.data(), bytes.size());
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return std::nullopt;
  if (got <= 0) return Received{true, end()};
  unread_.append(bytes.data(), static_cast<std::size_t>(got));
  const std::size_t line = unread_.find('\n');
  if (line == std::string::npos) return std::nullopt;
  std::string answer = unread_.substr(0, line);
  unread_.erase(0, line + 1);
  return Received{false, std::move(answer)};
}

std::string EvaluatorProcess::end() {
  if (process_ <= 0) return "";
  // One that has closed its output, but lives, is of no use.
  int status = 0;
  close(descriptor_);
  const bool has_ended = waitpid(process_, &status, WNOHANG) == process_;
  if (!has_ended) {
    kill(process_, SIGKILL);
    while (waitpid(process_, &status, 0) < 0 && errno == EINTR) {
    }
  }
  process_ = descriptor_ = -1;
  return how_it_ended(status);
}

}  // namespace tensorquant
