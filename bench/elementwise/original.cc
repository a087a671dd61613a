// The original TensorQuant's kernels, as they are; TENSORQUANT_BENCH_ORIGINAL says where a checkout
// lies. What they need of TensorFlow is in tensorflow_stub. All headers that they include stand
// here, too, where they are in no namespace.
#include <stdlib.h>
#include <time.h>

#include <cmath>
#include <iostream>
#include <map>
#include <memory>

#include "bench/elementwise/rivals.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

// Each file defines its class by the same name.
namespace nearest {
#include "Kernels/RoundOp_nearest.cc"
}
namespace zero {
#include "Kernels/RoundOp_zero.cc"
}
namespace down {
#include "Kernels/RoundOp_down.cc"
}
namespace stochastic {
#include "Kernels/RoundOp_stochastic.cc"
}
namespace logarithmic {
#include "Kernels/QuantOp_log.cc"
}
namespace ternary {
#include "Kernels/QuantOp_ternary.cc"
}
namespace binary {
#include "Kernels/QuantOp_binary.cc"
}
namespace sparse {
#include "Kernels/QuantOp_sparse.cc"
}

namespace tensorquant::bench {
namespace {

template <class Op>
measure::Contender<float> contender(const char* quantizer, std::vector<std::string> one_of,
                                    std::map<std::string, double> attributes) {
  tensorflow::OpKernelConstruction construction{std::move(attributes)};
  const auto op = std::make_shared<Op>(&construction);
  measure::Contender<float> contender;
  contender.name = kOriginal;
  contender.quantizer = quantizer;
  contender.one_of = std::move(one_of);
  contender.run = [op](std::span<const float> in, std::span<float> out) {
    tensorflow::OpKernelContext context(in, out);
    op->Compute(&context);
  };
  contender.threads = 1;
  contender.most_elements = kMostSerialElements;
  return contender;
}

}  // namespace

Contenders original_contenders() {
  const std::map<std::string, double> fixed = {{"fixed_size", 16}, {"fixed_prec", 8}};
  return {contender<nearest::RoundOp<float>>("nearest,16,8", {"nearest,16,8"}, fixed),
          contender<zero::RoundOp<float>>("zero,16,8", {"zero,16,8"}, fixed),
          contender<down::RoundOp<float>>("down,16,8", {"down,16,8"}, fixed),
          contender<stochastic::RoundOp<float>>("stochastic,16,8", {"down,16,8", "up,16,8"}, fixed),
          contender<logarithmic::QuantOp<float>>("logarithmic,down", {"logarithmic,down"}, {}),
          // Its threshold is made of a sum of floats, which differs in the last digits; that of the
          // values that are measured is about 1.68, and varies with their number.
          contender<ternary::QuantOp<float>>(
              "ternary", {"ternary,1,1.6", "ternary,1,1.75"},
              {{"marginal", 1}, {"auto_threshold", 1}, {"threshold", 0}}),
          contender<binary::QuantOp<float>>("binary", {"binary"}, {{"marginal", 1}}),
          contender<sparse::QuantOp<float>>("sparse,0.5", {"sparse,0.5"}, {{"threshold", 0.5}})};
}

}  // namespace tensorquant::bench
