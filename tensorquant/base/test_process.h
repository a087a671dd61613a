#ifndef TENSORQUANT_BASE_TEST_PROCESS_H_
#define TENSORQUANT_BASE_TEST_PROCESS_H_

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exception>

// A second process for the tests, which can be killed at a known place.
namespace tensorquant {

class TestProcess {
 public:
  // The process as it sees itself.
  class Self {
   public:
    explicit Self(int pipe) : pipe_(pipe) {}
    void ready() const {
      if (::write(pipe_, "", 1) != 1) ::_exit(3);
    }
    [[noreturn]] static void wait_for_ever() {
      while (true) ::pause();
    }

   private:
    int pipe_;
  };

  // Returns when the process has called ready(). It leaves with 0, or 2 after an exception.
  template <class Action>
  explicit TestProcess(Action action) {
    int ends[2];
    if (::pipe(ends) != 0) std::terminate();
    id_ = ::fork();
    if (id_ == 0) {
      ::close(ends[0]);
      Self self(ends[1]);
      try {
        action(self);
      } catch (const std::exception&) {
        ::_exit(2);
      }
      ::_exit(0);
    }
    ::close(ends[1]);
    char byte = 0;
    if (::read(ends[0], &byte, 1) != 1) std::terminate();
    ::close(ends[0]);
  }
  TestProcess(const TestProcess&) = delete;
  TestProcess& operator=(const TestProcess&) = delete;

  ::pid_t id() const { return id_; }
  int wait() const {
    int status = 0;
    ::waitpid(id_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  void end(int signal) const {
    ::kill(id_, signal);
    wait();
  }

 private:
  ::pid_t id_ = 0;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_TEST_PROCESS_H_
