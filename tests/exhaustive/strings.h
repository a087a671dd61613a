#ifndef TESTS_EXHAUSTIVE_STRINGS_H_
#define TESTS_EXHAUSTIVE_STRINGS_H_

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tensorquant/quantizers/format_list.h"
#include "tensorquant/quantizers/quantizer.h"

namespace tensorquant {

// Every rounding with every end of fixed point, above the point and below, and with every kind of
// float, of few exponents and of float32's: each loop of the two kernels.
inline std::vector<std::string> strings_of_loops() {
  const std::vector<std::pair<std::string, std::string>> roundings = {
      {"nearest", ""},
      {"even", ""},
      {"zero", ""},
      {"down", ""},
      {"up", ""},
      {"nearest_up", ""},
      {"nearest_down", ""},
      {"nearest_zero", ""},
      {"odd", ""},
      {"stochastic", ""},
      {"stochastic", ",random_bits=8"},
      {"stochastic", ",random_bits=20"}};
  std::vector<std::string> strings;
  for (const auto& [rounding, random_bits] : roundings) {
    for (const char* shape : {",8,4", ",8,-4"}) {
      for (const char* overflow : {"", ",overflow=zero", ",overflow=wrap",
                                   ",unsigned,overflow=wrap", ",overflow=sign_magnitude"}) {
        strings.push_back(rounding + shape + overflow + random_bits);
      }
    }
    for (const char* kind : {"4,3", "4,3,overflow=saturate", "4,3,overflow=propagate",
                             "4,3,special=fn", "4,3,overflow=nan,special=fn", "4,3,special=finite",
                             "4,3,special=fnuz", "4,3,overflow=nan,special=fnuz", "8,3",
                             "8,3,overflow=saturate", "8,3,overflow=propagate"}) {
      strings.push_back(std::string("float,") + kind + random_bits + ",rounding=" + rounding);
    }
  }
  return strings;
}

// The examples of the one list of formats, which reach every path of the kernels, all loops, and
// the ends of the formats' parameters, where constants overflow, underflow or lose bits; each
// format once. Not those that find scales in a tensor: what all float32 numbers have in one tensor
// is a NaN.
inline std::vector<std::string> exhaustive_strings() {
  std::vector<std::string> strings;
  for (const FormatEntry& entry : format_list()) {
    for (const std::string_view example : entry.examples) {
      const auto quantizer = make_quantizer(example);
      const auto* scaled = std::get_if<Scaled>(quantizer->format());
      if (scaled == nullptr || !finds_scales(*scaled)) strings.emplace_back(example);
    }
  }
  strings.insert(
      strings.end(),
      {// One bit, two bits; float32's own 24; 25, of which the largest value is lost; 32.
       "nearest,2,1", "nearest,24,12", "nearest,25,12", "nearest,26,25", "nearest,32,32",
       "nearest,32,64", "nearest,32,-64", "nearest,17,40", "nearest,1,64", "even,1,-64", "even,2,0",
       "even,32,64", "even,32,-64", "even,16,16", "zero,1,64", "zero,25,0", "zero,32,64",
       "zero,32,-64", "down,1,0", "down,32,31", "down,32,64", "down,32,-64", "down,1,-64", "up,1,0",
       "up,32,31", "up,32,64", "up,32,-64", "up,1,-64", "nearest,1,0,overflow=wrap",
       "nearest,25,0,overflow=wrap", "nearest,32,64,overflow=wrap", "nearest,32,-64,overflow=wrap",
       "even,1,64,overflow=wrap", "even,32,31,overflow=wrap", "zero,32,-64,overflow=wrap",
       "zero,1,0,overflow=wrap", "down,32,64,overflow=wrap", "down,1,-64,overflow=wrap",
       "up,32,64,overflow=wrap", "up,1,-64,overflow=wrap",
       // The roundings and overflows that share a loop, unsigned, and what float32 cannot hold.
       "nearest_up,32,64", "nearest_up,32,-64,overflow=wrap", "nearest_down,2,1",
       "nearest_down,25,0,overflow=symmetric", "nearest_zero,1,64",
       "nearest_zero,16,8,unsigned,overflow=zero", "odd,32,64,unsigned",
       "odd,64,-64,overflow=sign_magnitude", "odd,32,31,overflow=zero",
       "even,64,64,unsigned,overflow=wrap", "zero,1,0,unsigned",
       "down,1,-64,unsigned,overflow=zero", "up,64,32,overflow=sign_magnitude",
       "nearest,2,0,overflow=sign_magnitude", "nearest,1,0,overflow=symmetric",
       "stochastic,64,32,unsigned", "stochastic,1,0,overflow=sign_magnitude", "stochastic,1,0",
       "stochastic,32,64", "stochastic,32,-64", "stochastic,32,31",
       "stochastic,32,-64,overflow=wrap,random_bits=17", "stochastic,1,64,random_bits=24",
       "stochastic,24,12,overflow=wrap,random_bits=1", "logarithmic,max=127,min=127",
       "logarithmic,max=-149,min=-149", "logarithmic,min=-148", "logarithmic,max=-126,min=-127",
       "logarithmic,max=-1000,min=-1074", "logarithmic,down,max=-126,min=-127",
       "logarithmic,down,max=-149,min=-149", "logarithmic,down,max=1023,min=1000", "float,2,23",
       "float,8,1", "float,8,22", "float,8,23,rounding=down", "float,2,1,rounding=odd",
       "float,7,23,overflow=nan,special=fn", "float,2,1,bias=2,special=finite",
       "float,8,23,overflow=propagate", "float,8,1,overflow=nan,special=fnuz",
       "float,8,10,bias=140,overflow=propagate", "float,7,1,bias=63,rounding=down,special=fnuz",
       "float,8,1,rounding=odd", "float,7,23,rounding=nearest_up",
       "float,8,22,rounding=nearest_zero", "float,2,23,rounding=nearest_down",
       "float,2,1,overflow=saturate,rounding=down", "float,7,1", "float,5,2,overflow=saturate",
       "float,5,10,overflow=saturate,rounding=up", "float,5,10,rounding=nearest",
       "float,7,23,rounding=up", "float,7,23,rounding=stochastic",
       "float,2,1,overflow=saturate,rounding=stochastic",
       "float,8,1,overflow=saturate,rounding=down", "float,8,22,rounding=stochastic",
       "float,8,1,random_bits=24,rounding=stochastic",
       "float,2,23,random_bits=1,rounding=stochastic", "bf16,overflow=saturate",
       "float,5,10,random_bits=16,rounding=stochastic",
       "float,5,10,overflow=saturate,random_bits=16,rounding=stochastic",
       "float,8,2,rounding=stochastic,special=fnuz",
       "p3109,16,9,random_bits=16,rounding=stochastic", "stochastic,12,-6,random_bits=16",
       "stochastic,12,6,overflow=zero,random_bits=16",
       "stochastic,12,-6,overflow=zero,random_bits=16", "sparse,1e-45",
       "sparse,3.4028234663852886e38", "binary,1e-45", "ternary,1,0", "ternary,2,1e-45",
       "ternary,1e-45,3.4028234663852886e38",
       // All exponents of float32, none of the exponent's bits, nothing but them.
       "posit,3,0", "posit,4,0", "posit,31", "posit,10,3", "posit,9,4", "posit,5,5",
       // Codes of exponents alone, subnormals of float32, no finite value but zero.
       "p3109,8,1,domain=finite,rounding=up", "p3109,8,1,rounding=stochastic", "p3109,2,1,unsigned",
       "p3109,2,1,overflow=propagate,rounding=up", "p3109,16,9,unsigned,overflow=saturate",
       "p3109,16,9,random_bits=24,rounding=stochastic", "p3109,16,15,rounding=down",
       "p3109,16,15,unsigned,rounding=nearest_down", "logarithmic,exponent,fraction=8",
       "logarithmic,down,fraction=8", "logarithmic,exponent,max=-149,min=-149",
       "logarithmic,fraction=8,max=127,min=127", "logarithmic,down,fraction=1,max=-127,min=-149"});
  // A format has one canonical string, which is taken once.
  std::set<std::string> seen;
  std::vector<std::string> all;
  for (const auto& some : {strings, strings_of_loops()}) {
    for (const std::string& string : some) {
      if (seen.insert(make_quantizer(string)->spec()).second) all.push_back(string);
    }
  }
  return all;
}

}  // namespace tensorquant

#endif  // TESTS_EXHAUSTIVE_STRINGS_H_
