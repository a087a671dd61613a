#ifndef TENSORQUANT_ONNX_NAMES_VALUES_H_
#define TENSORQUANT_ONNX_NAMES_VALUES_H_

#include <cstddef>
#include <vector>

#include "tensorquant/onnx/graph/graph.h"

namespace tensorquant::onnx {

// What can be said of a graph's values without computing them; a vector for all, by their ids.
struct ValueFacts {
  enum class Origin : std::uint8_t {
    constant,  // of constants alone
    shape,     // of the sizes of inputs, not of their numbers
    data,
  };

  std::vector<Origin> origin;
  std::vector<DataType> type;        // undefined where it is not known
  std::vector<const Node*> maker;    // null for inputs and constants
  std::vector<std::size_t> readers;  // nodes that read it, and the graph's outputs

  template <class T>
  static const T& of(const std::vector<T>& facts, ValueId id) {
    return facts[static_cast<std::size_t>(id)];
  }
};

ValueFacts facts_of(const Graph& graph);

}  // namespace tensorquant::onnx

#endif  // TENSORQUANT_ONNX_NAMES_VALUES_H_
