#ifndef TENSORQUANT_LIBTORCH_NN_SHAPE_H_
#define TENSORQUANT_LIBTORCH_NN_SHAPE_H_

#include "tensorquant/libtorch/nn/twin.h"

// Layers that drop, move or repeat values.
namespace tensorquant {

#define TENSORQUANT_DROPS_VALUES(Name) \
  TENSORQUANT_MOVES_VALUES(Name);      \
  template <>                          \
  inline constexpr bool drops_values_v<::torch::nn::Name##Impl> = true
TENSORQUANT_DROPS_VALUES(Dropout);
TENSORQUANT_DROPS_VALUES(Dropout2d);
TENSORQUANT_DROPS_VALUES(Dropout3d);
#undef TENSORQUANT_DROPS_VALUES
TENSORQUANT_MOVES_VALUES(Flatten);
TENSORQUANT_MOVES_VALUES(Unflatten);
TENSORQUANT_MOVES_VALUES(Unfold);
TENSORQUANT_MOVES_VALUES(PixelShuffle);
TENSORQUANT_MOVES_VALUES(PixelUnshuffle);
TENSORQUANT_MOVES_VALUES(ReflectionPad1d);
TENSORQUANT_MOVES_VALUES(ReflectionPad2d);
TENSORQUANT_MOVES_VALUES(ReflectionPad3d);
TENSORQUANT_MOVES_VALUES(ReplicationPad1d);
TENSORQUANT_MOVES_VALUES(ReplicationPad2d);
TENSORQUANT_MOVES_VALUES(ReplicationPad3d);
TENSORQUANT_MOVES_VALUES(ZeroPad2d);
TENSORQUANT_MOVES_VALUES(ConstantPad1d);
TENSORQUANT_MOVES_VALUES(ConstantPad2d);
TENSORQUANT_MOVES_VALUES(ConstantPad3d);

namespace nn {

TENSORQUANT_TWIN(Dropout);
TENSORQUANT_TWIN(Dropout2d);
TENSORQUANT_TWIN(Dropout3d);
TENSORQUANT_TWIN(AlphaDropout);
TENSORQUANT_TWIN(FeatureAlphaDropout);
TENSORQUANT_TWIN(Flatten);
TENSORQUANT_TWIN(Unflatten);
TENSORQUANT_TWIN(Fold);
TENSORQUANT_TWIN(Unfold);
TENSORQUANT_TWIN(PixelShuffle);
TENSORQUANT_TWIN(PixelUnshuffle);
TENSORQUANT_TWIN(Upsample);
TENSORQUANT_TWIN(ReflectionPad1d);
TENSORQUANT_TWIN(ReflectionPad2d);
TENSORQUANT_TWIN(ReflectionPad3d);
TENSORQUANT_TWIN(ReplicationPad1d);
TENSORQUANT_TWIN(ReplicationPad2d);
TENSORQUANT_TWIN(ReplicationPad3d);
TENSORQUANT_TWIN(ZeroPad2d);
TENSORQUANT_TWIN(ConstantPad1d);
TENSORQUANT_TWIN(ConstantPad2d);
TENSORQUANT_TWIN(ConstantPad3d);

}  // namespace nn
}  // namespace tensorquant

#endif  // TENSORQUANT_LIBTORCH_NN_SHAPE_H_
