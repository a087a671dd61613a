#include "tensorquant/quantizers/format_list.h"

namespace tensorquant {

const std::vector<FormatEntry>& format_list() {
  static const std::vector<FormatEntry> list = {
      {"none", Identity{}, true, "x itself", {"none"}},
      {"nearest", FixedPoint{.rounding = Rounding::nearest}, true,
       "fixed point, W bits, F of them fractional; ties away from zero",
       {"nearest,16,8", "nearest,8,4", "nearest,1,0", "nearest,32,16", "nearest,8,-20",
        "nearest,8,64", "nearest,8,-64", "nearest,8,4,overflow=wrap", "nearest,32,16,overflow=wrap",
        "nearest,1,-64,overflow=wrap"}},
      {"even", FixedPoint{.rounding = Rounding::even}, true, "fixed point; ties to even",
       {"even,8,4", "even,26,0", "even,8,4,overflow=wrap"}},
      {"zero", FixedPoint{.rounding = Rounding::zero}, true, "fixed point; towards zero",
       {"zero,16,8", "zero,32,0", "zero,8,4,overflow=wrap"}},
      {"down", FixedPoint{.rounding = Rounding::down}, true, "fixed point; towards minus infinity",
       {"down,12,6", "down,6,-2", "down,8,-64", "down,12,6,overflow=wrap", "down,12,-6,overflow=wrap"}},
      {"up", FixedPoint{.rounding = Rounding::up}, true, "fixed point; towards plus infinity",
       {"up,8,4", "up,24,40", "up,8,-64", "up,8,4,overflow=wrap", "up,8,-4,overflow=wrap"}},
      {"stochastic", FixedPoint{.rounding = Rounding::stochastic}, true,
       "fixed point; up with a probability equal to the distance from the value below",
       {"stochastic,16,8", "stochastic,8,-64", "stochastic,8,4,overflow=wrap",
        "stochastic,8,-4,overflow=wrap", "stochastic,8,4,random_bits=1",
        "stochastic,8,4,random_bits=8", "stochastic,12,6,random_bits=16",
        "stochastic,16,8,random_bits=20", "stochastic,16,8,random_bits=24"}},
      {"logarithmic", Logarithmic{}, true,
       "powers of two, the closest one; 'logarithmic,down' takes the one below",
       {"logarithmic", "logarithmic,down", "logarithmic,max=3,min=-4", "logarithmic,down,max=3,min=-4",
        "logarithmic,min=-140", "logarithmic,max=0,min=0"}},
      {"sparse", Sparse{}, true, "x where its magnitude is at least T, else 0", {"sparse,0.1", "sparse,0"}},
      {"float", FloatingPoint{}, true,
       "IEEE 754 style float, E exponent and M significand bits; ties to even",
       {"float,5,10", "float,4,3", "float,8,23", "float,8,10", "float,2,1", "float,7,23",
        "float,3,2,overflow=saturate", "float,8,3,overflow=saturate", "float,4,3,rounding=nearest",
        "float,4,3,rounding=zero", "float,4,3,rounding=down", "float,4,3,rounding=up",
        "float,4,3,rounding=stochastic", "float,4,3,random_bits=8,rounding=stochastic",
        "float,8,3,rounding=nearest", "float,8,3,rounding=zero", "float,8,3,rounding=down",
        "float,8,3,rounding=up", "float,8,3,rounding=stochastic",
        "float,8,3,random_bits=12,rounding=stochastic", "float,8,23,rounding=stochastic"}},
      {"fp16", FloatingPoint{.exponent_bits = 5, .significand_bits = 10}, false,
       "IEEE 754 binary16: float,5,10", {"fp16", "fp16,overflow=saturate"}},
      {"bf16", FloatingPoint{.exponent_bits = 8, .significand_bits = 7}, false,
       "bfloat16: float,8,7", {"bf16", "bf16,rounding=zero"}},
      {"binary", Binary{}, true, "+m where x >= 0, else -m; m = 1 if left out", {"binary", "binary,0.5"}},
      {"ternary", Ternary{}, true,
       "+m above t, -m below -t, else 0; t left out: 0.7 times the tensor's mean magnitude",
       {"ternary", "ternary,0.7,0.5", "ternary,0.1"}},
  };
  return list;
}

}  // namespace tensorquant
