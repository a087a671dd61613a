#ifndef TENSORQUANT_PYTHON_SRC_BINDINGS_H_
#define TENSORQUANT_PYTHON_SRC_BINDINGS_H_

#include <nanobind/nanobind.h>

namespace tensorquant::python {

void bind_quantizers(nanobind::module_& module);
void bind_maps(nanobind::module_& module);
void bind_assign(nanobind::module_& module);
void bind_arithmetic(nanobind::module_& module);
void bind_calibration(nanobind::module_& module);
void bind_report(nanobind::module_& module);
void bind_search(nanobind::module_& module);
void bind_c_api(nanobind::module_& module);
void bind_device_formats(nanobind::module_& module);
void bind_onnx(nanobind::module_& module);

}  // namespace tensorquant::python

#endif  // TENSORQUANT_PYTHON_SRC_BINDINGS_H_
