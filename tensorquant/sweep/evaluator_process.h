#ifndef TENSORQUANT_SWEEP_EVALUATOR_PROCESS_H_
#define TENSORQUANT_SWEEP_EVALUATOR_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace tensorquant {

// A process that reads a request a line and writes an answer a line, as `tensorquant evaluate
// --requests`. It is started when it is needed, again where the last one died, and killed at the
// end: it has nothing to lose. It sees the end of its input when its owner dies, however that be.
class EvaluatorProcess {
 public:
  // The program and its arguments. Throws no error before start().
  explicit EvaluatorProcess(std::vector<std::string> command);
  ~EvaluatorProcess();
  EvaluatorProcess(const EvaluatorProcess&) = delete;
  EvaluatorProcess& operator=(const EvaluatorProcess&) = delete;

  // Does nothing where it runs. An Error where the program cannot be started.
  void start();
  // A request, when the last one has its outcome. A process that died since is started anew.
  void send(const std::string& request);
  // Readable where there is something to receive.
  int descriptor() const { return descriptor_; }
  // Reads what is there: the answer, if its line is complete. Blocks where nothing is there.
  struct Received {
    bool died = false;
    std::string text;  // the answer, or how it died
  };
  std::optional<Received> receive();

 private:
  std::string end();  // kills it; how it ended

  std::vector<std::string> command_;
  pid_t process_ = -1;
  int descriptor_ = -1;  // a socket, the process' stdin and stdout
  std::string unread_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_SWEEP_EVALUATOR_PROCESS_H_
