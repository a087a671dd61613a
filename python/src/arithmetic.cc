#include "python/src/bindings.h"

namespace tensorquant::python {
void bind_arithmetic(nanobind::module_&) {}
}  // namespace tensorquant::python
