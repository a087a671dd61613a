#include "tensorquant/libtorch/tensors/result_tensors.h"

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>
#include <ATen/core/jit_type.h>

namespace tensorquant::detail {
namespace {

c10::IValue visited(c10::IValue value, const VisitTensor& visit, const Refuse& refuse) {
  visit_boxed(value, visit, refuse);
  return value;
}

bool holds_no_tensor(const c10::IValue& value) {
  return value.isNone() || value.isScalar() || value.isBool() || value.isString() ||
         value.isDevice() || value.isEnum() || value.isGenerator() || value.isStream();
}

}  // namespace

void visit_boxed(c10::IValue& value, const VisitTensor& visit, const Refuse& refuse) {
  if (value.isTensor()) {
    at::Tensor tensor = std::move(value).toTensor();
    visit(tensor);
    value = std::move(tensor);
  } else if (value.isList()) {
    c10::List<c10::IValue> list = value.toList().copy();
    for (std::size_t i = 0; i < list.size(); ++i) {
      list.set(i, visited(list.extract(i), visit, refuse));
    }
    value = std::move(list);
  } else if (value.isGenericDict()) {
    auto dict = value.toGenericDict().copy();
    for (const auto& entry : dict) entry.setValue(visited(entry.value(), visit, refuse));
    value = std::move(dict);
  } else if (value.isTuple()) {
    const auto tuple = value.toTuple();
    std::vector<c10::IValue> elements = tuple->elements().vec();
    for (c10::IValue& element : elements) visit_boxed(element, visit, refuse);
    value = c10::ivalue::Tuple::createNamed(std::move(elements), c10::TypePtr(tuple->type()));
  } else if (!holds_no_tensor(value)) {
    refuse("forward() returns an IValue with a " + value.tagKind() +
           ", whose tensors nothing tells");
  }
}

}  // namespace tensorquant::detail
