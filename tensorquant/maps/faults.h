#ifndef TENSORQUANT_MAPS_FAULTS_H_
#define TENSORQUANT_MAPS_FAULTS_H_

#include <string>
#include <vector>

namespace tensorquant {

// Everything that speaks against an override, for one error: each reason once, with all layers that
// it is true of.
class Faults {
 public:
  void add(const std::string& reason);
  // "reason: first, second". Layers are texts such as "'conv1' (Conv2d)".
  void add_to_list(const std::string& reason, const std::string& layer);
  // "layer first: reason" or "layers first, second: reason". A message that begins with "layer
  // first: " is a reason, too.
  void add_of_layer(const std::string& layer, std::string reason);

  bool empty() const { return faults_.empty(); }
  // One line, the faults in the order in which they were added first.
  std::string text() const;
  // Throws an Error with it unless there is none.
  void refuse() const;

 private:
  enum class Form { alone, list, layers_first };
  struct Fault {
    Form form;
    std::string reason;
    std::vector<std::string> layers;
  };

  Fault& fault(Form form, const std::string& reason);

  std::vector<Fault> faults_;
};

}  // namespace tensorquant

#endif  // TENSORQUANT_MAPS_FAULTS_H_
