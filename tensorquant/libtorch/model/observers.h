#ifndef TENSORQUANT_LIBTORCH_MODEL_OBSERVERS_H_
#define TENSORQUANT_LIBTORCH_MODEL_OBSERVERS_H_

#include <string>
#include <vector>

#include "tensorquant/arithmetic/arithmetic.h"
#include "tensorquant/libtorch/layers/quantizable_layer.h"
#include "tensorquant/libtorch/model/model_ref.h"

namespace tensorquant {

// What the products and sums of a layer with rounded arithmetic have needed.
struct LayerRangeReport {
  std::string layer;
  Arithmetic arithmetic;
  RangeReport report;
};
// What one quantizer of a layer has saturated and made zero.
struct LayerPlaceReport {
  std::string layer;
  PlaceReport place;
};
// What the products of a layer with rounded arithmetic went through.
struct LayerKernelUse {
  std::string layer;
  KernelUse use;
};
// Of all calls since the maps were applied, in the model's order.
std::vector<LayerKernelUse> kernel_uses(ModelRef model);

// Has each layer count from now on, from nothing; see QuantizableLayer::record_ranges().
void record_ranges(ModelRef model, bool on = true);
// Of the layers that round their arithmetic and count, in the model's order.
std::vector<LayerRangeReport> ranges(ModelRef model);
// Of the quantizers that have been called while their layer counted, in the model's order.
std::vector<LayerPlaceReport> place_reports(ModelRef model);

// Calls `observer` with the output of each quantizable layer, after its quantizer, whether it has
// one or not; none of the model's inputs and of what only moves numbers. The tensor is that of the
// model: copy what you keep if later layers work in place. An empty function ends it.
void set_output_observer(ModelRef model, OutputObserver observer);

}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_MODEL_OBSERVERS_H_
