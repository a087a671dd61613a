#include "tensorquant/formats/format.h"

namespace tensorquant {
namespace {

template <class... F>
constexpr bool all_answer(const std::variant<F...>*) {
  return (AnswersForItself<F> && ...);
}
static_assert(all_answer(static_cast<Format*>(nullptr)));

}  // namespace
}  // namespace tensorquant
