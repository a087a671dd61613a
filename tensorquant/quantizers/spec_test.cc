// Quantizer strings: what they mean, their canonical form, and what is said of a wrong one.

#include <gtest/gtest.h>

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tensorquant/base/error.h"
#include "tensorquant/quantizers/format_list.h"
#include "tensorquant/quantizers/quantizer.h"
#include "tensorquant/quantizers/registry.h"
#include "tensorquant/quantizers/spec_error.h"

namespace tensorquant {
namespace {

template <class F>
F format_of(std::string_view spec) {
  return std::get<F>(*make_quantizer(spec)->format());
}

TEST(Spec, NamesTheFormat) {
  EXPECT_EQ(format_of<FixedPoint>("nearest,16,8"), (FixedPoint{.bits = 16, .fraction = 8}));
  EXPECT_EQ(format_of<FixedPoint>("zero,8,-20,overflow=wrap"),
            (FixedPoint{.bits = 8,
                        .fraction = -20,
                        .rounding = Rounding::zero,
                        .overflow = FixedPoint::Overflow::wrap}));
  EXPECT_EQ(
      format_of<FixedPoint>("stochastic,8,4,random_bits=3"),
      (FixedPoint{.bits = 8, .fraction = 4, .rounding = Rounding::stochastic, .random_bits = 3}));
  EXPECT_EQ(format_of<FloatingPoint>("fp16"), format_of<FloatingPoint>("float,5,10"));
  EXPECT_EQ(format_of<FloatingPoint>("bf16"), format_of<FloatingPoint>("float,8,7"));
  EXPECT_EQ(format_of<Logarithmic>("logarithmic,down,min=-8,max=3"),
            (Logarithmic{
                .rounding = Logarithmic::Rounding::down, .min_exponent = -8, .max_exponent = 3}));
  EXPECT_EQ(format_of<Sparse>("sparse,0.25"), Sparse{0.25});
  EXPECT_EQ(format_of<Binary>("binary"), Binary{1});
  EXPECT_EQ(format_of<Ternary>("ternary,0.5,0.25"), (Ternary{0.5, 0.25}));
  EXPECT_EQ(format_of<Ternary>("ternary"), Ternary{});
}

template <class T>
std::string error_of_quantizing_with(std::string_view spec) {
  std::vector<T> x = {-1, 0, 1};
  try {
    make_quantizer(spec)->quantize(std::span<const T>(x), std::span<T>(x));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Spec, NumbersThatTheTensorsTypeLacksAreErrorsWhereItIsQuantized) {
  EXPECT_EQ(error_of_quantizing_with<float>("binary,1e39"),
            "quantizer 'binary,1e+39': m = 1e+39 is infinite in float32");
  EXPECT_EQ(error_of_quantizing_with<float>("ternary,1e-50"),
            "quantizer 'ternary,1e-50': m = 1e-50 is zero in float32");
  EXPECT_EQ(error_of_quantizing_with<float>("ternary,1,1e39"),
            "quantizer 'ternary,1,1e+39': t = 1e+39 is infinite in float32");
  EXPECT_EQ(error_of_quantizing_with<float>("sparse,1e39"),
            "quantizer 'sparse,1e+39': T = 1e+39 is infinite in float32");
  EXPECT_EQ(error_of_quantizing_with<float>("int,8,scale=1e-50"),
            "quantizer 'int,8,scale=1e-50': scale = 1e-50 is zero in float32");
  EXPECT_EQ(error_of_quantizing_with<float>("int,8,scale=1e-40"),
            "quantizer 'int,8,scale=1e-40': scale = 1e-40 is subnormal in float32");
  EXPECT_EQ(error_of_quantizing_with<float>("int,8,scale=1e39"),
            "quantizer 'int,8,scale=1e+39': scale = 1e+39 is infinite in float32");
  EXPECT_EQ(error_of_quantizing_with<float>("binary,1e39,scale=max"),
            "quantizer 'binary,1e+39,scale=max': m = 1e+39 is infinite in float32");
  for (const char* spec : {"binary,1e39", "ternary,1e-50", "ternary,1,1e39", "sparse,1e39",
                           "int,8,scale=1e-50", "int,8,scale=1e39"}) {
    EXPECT_EQ(error_of_quantizing_with<double>(spec), "") << spec;
  }
  for (const char* spec : {"ternary,1,1e-50", "sparse,1e-50", "binary,1e-45", "binary,3e38"}) {
    EXPECT_EQ(error_of_quantizing_with<float>(spec), "") << spec;
  }
}

TEST(Spec, TheClippedGradientHasTheSameErrors) {
  const std::vector<float> x = {1};
  std::vector<float> dx(1);
  EXPECT_THROW(make_quantizer("binary,1e39,grad=clipped")
                   ->gradient(std::span<const float>(x), x, x, std::span<float>(dx)),
               Error);
}

TEST(Spec, HasACanonicalForm) {
  const std::map<std::string, std::string> canonical = {
      {" Nearest , 16 , 8 ", "nearest,16,8"},
      {"nearest,16,8,overflow=saturate,grad=ste", "nearest,16,8"},
      {"float,4,3,bias=7", "float,4,3"},
      {"float,4,3,special=FN,overflow=saturate", "float,4,3,special=fn"},
      {"float,4,3,special=fnuz,bias=8,overflow=nan", "float,4,3,overflow=nan,special=fnuz"},
      {"e5m2,overflow=infinity", "e5m2"},
      {"nearest,8,4,Unsigned,overflow=saturate", "nearest,8,4,unsigned"},
      {"nearest,16,8, overflow = WRAP ,grad=clipped", "nearest,16,8,grad=clipped,overflow=wrap"},
      {"nearest,+16,+8", "nearest,16,8"},
      {"stochastic,8,4,random_bits=8,overflow=wrap", "stochastic,8,4,overflow=wrap,random_bits=8"},
      {"FLOAT,4,3,rounding=even,overflow=infinity", "float,4,3"},
      {"float,4,3,rounding=stochastic,random_bits=4",
       "float,4,3,random_bits=4,rounding=stochastic"},
      {"fp16,grad=clipped", "fp16,grad=clipped"},
      {"posit,8,2", "posit,8"},
      {"p3109,8,4,domain=extended,rounding=even", "p3109,8,4"},
      {"p3109,8,3,Unsigned,domain=finite,overflow=saturate", "p3109,8,3,unsigned,domain=finite"},
      {"apot,4,unsigned", "apot,4,unsigned"},
      {"logarithmic,fraction=0", "logarithmic"},
      {"posit,8,0", "posit,8,0"},
      {"logarithmic,nearest", "logarithmic"},
      {"logarithmic,min=-1074,max=1023", "logarithmic"},
      {"logarithmic,down,min=-2,max=5", "logarithmic,down,max=5,min=-2"},
      {"sparse,0.10", "sparse,0.1"},
      {"sparse,1e-1", "sparse,0.1"},
      {"sparse,-0", "sparse,0"},
      {"binary,1", "binary"},
      {"binary,1.0", "binary"},
      {"binary,0.5", "binary,0.5"},
      {"ternary,1", "ternary"},
      {"ternary,1,0.5", "ternary,1,0.5"},
      {"ternary,0.70,0", "ternary,0.7,0"},
      {"int,8,rounding=even,per=tensor,scale=MAX", "int,8,scale=max"},
      {"int,8,scale=5e-2,overflow=saturate,zero=0", "int,8,scale=0.05"},
      {"e5m2,scale=max,overflow=saturate", "e5m2,scale=max"},
      {"e5m2,scale=max,overflow=infinity", "e5m2,overflow=infinity,scale=max"},
      {"e5m2,scale=2", "e5m2,scale=2"},
      {"mxfp4,scale=floor,block=32", "mxfp4"},
      {"mxfp4,scale=ceil,block=16", "mxfp4,block=16,scale=ceil"},
      {"mxfp4,per=row", "mxfp4,per=row"},
      {"mxfp4,per=tensor", "mxfp4,per=tensor"},
      {"mxfp4,scale=0.5", "mxfp4,scale=0.5"},
      {"mxfp8_e5m2,overflow=saturate", "mxfp8_e5m2"},
      {"mxint8,overflow=symmetric", "mxint8"},
      {"mxint8,overflow=saturate", "mxint8,overflow=saturate"},
      {"nvfp4,block=32", "nvfp4,block=32"},
      {"bfp,4,rounding=even", "bfp,4"},
      {"int,8,block=1,scale=range", "int,8,block=1,scale=range"},
  };
  for (const auto& [spec, wanted] : canonical) {
    EXPECT_EQ(make_quantizer(spec)->spec(), wanted) << spec;
    EXPECT_EQ(make_quantizer(wanted)->spec(), wanted);
    EXPECT_EQ(*make_quantizer(wanted)->format(), *make_quantizer(spec)->format());
  }
}

TEST(Spec, OfEveryExampleIsCanonical) {
  for (const FormatEntry& entry : format_list()) {
    for (std::string_view spec : entry.examples) {
      EXPECT_EQ(make_quantizer(spec)->spec(), spec);
      EXPECT_TRUE(spec.starts_with(entry.name));
    }
  }
}

struct Fault {
  const char* spec;
  std::size_t column;
  const char* reason;  // what the message must contain
};

constexpr Fault kFaults[] = {
    {"", 1, "expected a quantizer's name"},
    {"  ", 1, "expected a quantizer's name"},
    {",8,4", 1, "expected a quantizer's name"},
    {"neares,8,4", 1, "unknown name 'neares', did you mean 'nearest'?"},
    {"xyzzy", 1, "unknown name 'xyzzy'; 'tensorquant list' shows all"},
    {"nearest", 8, "'nearest' wants an integer W in [1, 64]"},
    {"nearest,8", 10, "'nearest' wants an integer F in [-64, 64]"},
    {"nearest,x,4", 9, "expected an integer W in [1, 64], found 'x'"},
    {"nearest,0,4", 9, "expected an integer W in [1, 64], found '0'"},
    {"nearest,65,4", 9, "found '65'"},
    {"nearest,8,65", 11, "expected an integer F in [-64, 64], found '65'"},
    {"nearest,8,4.5", 11, "found '4.5'"},
    {"nearest,8,99999999999999999999", 11, "found '99999999999999999999'"},
    {"nearest,8,4,2", 13, "'nearest' takes 2 arguments, '2' is one too many"},
    {"nearest,8,4,unsinged", 13, "unknown argument 'unsinged', did you mean 'unsigned'?"},
    {"nearest,8,4,unsigned,2", 22, "'nearest' takes 3 arguments, '2' is one too many"},
    {"nearest,8,4,unsigned,overflow=symmetric", 31,
     "expected overflow to be 'saturate', 'wrap' or 'zero', found 'symmetric'"},
    {"nearest,8,,4", 11, "expected an argument between the commas"},
    {"nearest,8,4,", 13, "expected an argument between the commas"},
    {"nearest,8,4,overflow=clip", 22,
     "expected overflow to be 'saturate', 'wrap', 'symmetric', 'zero' or 'sign_magnitude', found "
     "'clip'"},
    {"nearest,8,4,overflw=wrap", 13,
     "'nearest' has no keyword 'overflw', did you mean 'overflow'?"},
    {"nearest,8,4,random_bits=4", 13, "'nearest' has no keyword 'random_bits'"},
    {"nearest,8,4,=wrap", 13, "'nearest' has no keyword ''"},
    {"nearest,8,4,overflow=wrap,overflow=wrap", 27, "keyword 'overflow' is given twice"},
    {"nearest,overflow=wrap,8,4", 23, "argument '8' stands behind a keyword"},
    {"stochastic,8,4,random_bits=0", 28, "expected an integer random_bits in [1, 24], found '0'"},
    {"stochastic,8,4,random_bits=25", 28, "found '25'"},
    {"none,1", 6, "'none' takes 0 arguments, '1' is one too many"},
    {"none,overflow=wrap", 6, "'none' has no keyword 'overflow'"},
    {"fp16,5", 6, "'fp16' takes 0 arguments, '5' is one too many"},
    {"float,1,10", 7, "expected an integer E in [2, 8], found '1'"},
    {"float,5,0", 9, "expected an integer M in [1, 23], found '0'"},
    {"float,5,2,rounding=od", 20,
     "'even', 'nearest', 'nearest_up', 'nearest_down', 'nearest_zero', 'zero', 'down', 'up', 'odd' "
     "or 'stochastic', found 'od'"},
    {"float,4,3,special=fn,overflow=infinity", 31,
     "expected overflow to be 'saturate' or 'nan', found 'infinity'"},
    {"float,3,2,special=finite,overflow=nan", 35,
     "expected overflow to be 'saturate', found 'nan'"},
    {"float,8,3,special=fn", 19, "expected special to be 'ieee' or 'fnuz', found 'fn'"},
    {"float,8,23,special=fnuz", 20, "expected special to be 'ieee', found 'fnuz'"},
    {"float,4,3,bias=15", 16, "expected an integer bias in [1, 14], found '15'"},
    {"float,8,3,bias=126", 16, "expected an integer bias in [127, 147], found '126'"},
    {"e4m3fn,special=ieee", 8, "'e4m3fn' has no keyword 'special'"},
    {"float,5,2,random_bits=4", 11, "no keyword 'random_bits'"},
    {"apot,4", 1, "'apot,4' wants 'unsigned'"},
    {"apot,5,unsigned", 8, "'unsigned' is one too many"},
    {"p3109,8,8", 9, "expected an integer P in [1, 7], found '8'"},
    {"p3109,16,8", 10, "expected an integer P in [9, 15], found '8'"},
    {"p3109,8,4,domain=finite,overflow=infinity", 34, "expected overflow to be 'saturate'"},
    {"posit,2", 7, "expected an integer N in [3, 32], found '2'"},
    {"posit,16,4", 10, "expected an integer es in [0, 3], found '4'"},
    {"posit,32,3", 10, "expected an integer es in [0, 2], found '3'"},
    {"logarithmic,up", 13, "expected rounding to be 'nearest', 'down' or 'exponent', found 'up'"},
    {"logarithmic,fraction=9", 22, "expected an integer fraction in [0, 8], found '9'"},
    {"logarithmic,min=3,max=2", 17, "expected an integer min in [-1074, 2], found '3'"},
    {"logarithmic,min=0.5", 17, "expected an integer min in [-1074, 1023], found '0.5'"},
    {"sparse", 7, "'sparse' wants a finite number T >= 0"},
    {"sparse,-1", 8, "expected a finite number T >= 0, found '-1'"},
    {"sparse,nan", 8, "found 'nan'"},
    {"sparse,inf", 8, "found 'inf'"},
    {"sparse,1e999", 8, "found '1e999'"},
    {"sparse,0x10", 8, "found '0x10'"},
    {"binary,0", 8, "expected a finite number m > 0, found '0'"},
    {"ternary,1,-1", 11, "expected a finite number t >= 0, found '-1'"},
    {"ternary,1,1,1", 13, "'1' is one too many"},
    {"int,8,scale=0", 13, "a scale is a normal number > 0, found 0"},
    {"int,8,scale=-1", 13, "a scale is a normal number > 0, found -1"},
    {"int,8,scale=1e-310", 13, "a scale is a normal number > 0, found 1e-310"},
    {"int,8,scale=inf", 13, "expected scale to be a number, 'max', 'range'"},
    {"int,8,scale=nan", 13, "found 'nan'"},
    {"int,8,scale=flor", 13, "'e4m3' or 'mean', found 'flor'"},
    {"int,8,per=channel", 11, "'per' needs scale=max, floor ..."},
    {"int,8,block=32", 13, "'block' needs scale=max, floor ..."},
    {"int,8,zero=3", 12, "'zero' needs scale=N"},
    {"int,8,block=32,per=row,scale=max", 13, "'per' and 'block' exclude each other"},
    {"int,8,per=col,scale=max", 11, "expected per to be 'tensor', 'channel' or 'row', found 'col'"},
    {"int,8,block=0,scale=max", 13, "expected an integer block in [1, 65536], found '0'"},
    {"int,8,block=65537,scale=max", 13, "found '65537'"},
    {"int,8,per=channel,scale=0.5", 11, "a scale that is a number is the whole tensor's"},
    {"int,8,block=4,scale=0.5", 13, "a scale that is a number is the whole tensor's"},
    {"int,8,scale=max,zero=3", 22, "a zero point wants a scale that is a number"},
    {"int,8,scale=0.5,zero=128", 22, "expected an integer zero in [-128, 127], found '128'"},
    {"nearest,8,4,scale=0.5,zero=1", 28, "a zero point wants integers (F = 0)"},
    {"int,8,overflow=wrap,scale=range", 27, "scale=range wants integers (F = 0)"},
    {"even,25,0,scale=range", 17, "of at most 24 bits"},
    {"e4m3fn,scale=range", 14, "scale=range wants integers"},
    {"int,8,scale=mean", 13, "scale=mean wants 'binary' or 'ternary' without arguments"},
    {"ternary,1,0.5,scale=mean", 21, "scale=mean wants 'binary' or 'ternary' without arguments"},
    {"ternary,scale=max", 15, "'ternary' wants a threshold t, or scale=mean"},
    {"e2m1,scale=e4m3", 12, "scale=e4m3 wants block="},
    {"nvfp4,per=channel", 1, "scale=e4m3 wants block="},
    {"nearest,1,0,scale=max", 19, "the format has no positive value to scale"},
    {"binary,block=4,scale=round", 22, "scale=round wants fixed point or a float"},
    {"none,scale=max", 6, "'none' has no keyword 'scale'"},
    {"sparse,1,scale=max", 10, "'sparse' has no keyword 'scale'"},
    {"int,8,4", 7, "'int' takes 1 argument, '4' is one too many"},
    {"bfp,1", 5, "expected an integer W in [2, 64], found '1'"},
    {"mxfp4,8", 7, "'mxfp4' takes 0 arguments"},
    {"mxfp4,scal=max", 7, "did you mean 'scale'?"},
    {"nearest,8,4,grad=none", 18, "expected grad to be 'ste' or 'clipped', found 'none'"},
};

TEST(SpecError, PointsAtTheFault) {
  for (const Fault& fault : kFaults) {
    try {
      make_quantizer(fault.spec);
      ADD_FAILURE() << "'" << fault.spec << "' was taken";
    } catch (const SpecError& e) {
      EXPECT_EQ(e.column(), fault.column) << e.what();
      EXPECT_NE(e.reason().find(fault.reason), std::string::npos) << e.what();
      EXPECT_EQ(e.spec(), fault.spec);
      EXPECT_NE(std::string(e.what()).find("column " + std::to_string(fault.column)),
                std::string::npos);
    }
  }
}

TEST(SpecError, IsOneLineEvenWhereTheStringIsNot) {
  try {
    make_quantizer("float,\n4r");
    ADD_FAILURE() << "no error";
  } catch (const SpecError& e) {
    EXPECT_STREQ(e.what(),
                 "quantizer 'float,\\x0a4r', column 8: expected an integer E in [2, 8], found "
                 "'4r'");
  }
}

TEST(ListQuantizers, ShowsHowToWriteEach) {
  std::map<std::string, std::string> usage;
  for (const QuantizerInfo& info : list_quantizers()) usage[info.name] = info.usage;
  EXPECT_EQ(usage["nearest"],
            "nearest,W,F[,unsigned][,overflow=saturate|wrap|symmetric|zero|sign_magnitude]"
            "[,scale=...][,grad=ste|clipped]");
  EXPECT_EQ(usage["stochastic"],
            "stochastic,W,F[,unsigned][,overflow=saturate|wrap|symmetric|zero|sign_magnitude]"
            "[,random_bits=N][,scale=...][,grad=ste|clipped]");
  EXPECT_EQ(
      usage["fp16"],
      "fp16[,overflow=infinity|saturate|propagate][,rounding=even|nearest|nearest_up|nearest_down|"
      "nearest_zero|"
      "zero|down|up|odd|stochastic][,random_bits=N][,scale=...][,grad=ste|clipped]");
  EXPECT_EQ(usage["e4m3fn"].substr(0, 32), "e4m3fn[,overflow=saturate|nan][,");
  EXPECT_EQ(usage["logarithmic"],
            "logarithmic[,nearest|down|exponent][,fraction=N][,max=N][,min=N][,scale=...][,grad="
            "ste|clipped]");
  EXPECT_EQ(usage["posit"], "posit,N[,es][,scale=...][,grad=ste|clipped]");
  EXPECT_EQ(usage["ternary"], "ternary[,m][,t][,scale=...][,grad=ste|clipped]");
  EXPECT_EQ(usage["int"].substr(0, 35), "int,W[,unsigned][,overflow=saturate");
  EXPECT_EQ(usage["mxint8"].substr(0, 34), "mxint8[,overflow=symmetric|saturat");
  EXPECT_EQ(usage["mxfp8_e5m2"].substr(0, 29), "mxfp8_e5m2[,overflow=saturate");
  EXPECT_EQ(usage["sparse"], "sparse,T[,grad=ste|clipped]");
}

// A quantizer of the user's: rounds to multiples of a step that the string gives.
class Multiple : public Quantizer {
 public:
  explicit Multiple(double step) : step_(static_cast<float>(step)) {}
  using Quantizer::quantize;
  void quantize(std::span<const float> in, std::span<float> out, const Context&) const override {
    for (std::size_t i = 0; i < in.size(); ++i) out[i] = std::round(in[i] / step_) * step_;
  }
  std::string spec() const override { return "multiple," + shortest_decimal(step_); }

 private:
  float step_;
};

TEST(SpecReader, GivesAllThatIsLeft) {
  SpecReader reader("name, 1 ,X,b=2, a=Y");
  EXPECT_EQ(reader.integer("W", 0, 9), 1);
  EXPECT_EQ(reader.integer_keyword("b", 0, 9), 2);
  EXPECT_EQ(reader.take_arguments(), std::vector<std::string>{"x"});
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(reader.take_keywords(), (Pairs{{"a", "y"}}));
  EXPECT_NO_THROW(reader.expect_all_taken());
  EXPECT_TRUE(reader.take_arguments().empty());
  EXPECT_TRUE(reader.take_keywords().empty());
}

TEST(RegisterQuantizer, MakesAUsersOwnStringsKnown) {
  const auto factory = [](SpecReader& reader) -> std::shared_ptr<const Quantizer> {
    return std::make_shared<Multiple>(reader.number("step", true));
  };
  register_quantizer("multiple", "multiple,STEP", "multiples of STEP", factory);
  const auto q = make_quantizer("Multiple, 0.25");
  EXPECT_EQ(q->spec(), "multiple,0.25");
  const std::vector<float> x = {0.3f, -0.9f};
  std::vector<float> y(2);
  q->quantize(std::span<const float>(x), std::span<float>(y));
  EXPECT_EQ(y, (std::vector<float>{0.25f, -1.0f}));
  EXPECT_EQ(q->format(), nullptr);

  // Its faults are pointed at as those of the built-in ones.
  EXPECT_THROW(make_quantizer("multiple"), SpecError);
  EXPECT_THROW(make_quantizer("multiple,0"), SpecError);
  EXPECT_THROW(make_quantizer("multiple,1,2"), SpecError);
  EXPECT_THROW(make_quantizer("multiple,1,overflow=wrap"), SpecError);
  // What it does not say of itself is an error, not a guess.
  std::vector<double> d(2);
  EXPECT_THROW(q->quantize(std::span<const double>(d), std::span<double>(d)), Error);
  // Without a gradient of its own it is straight-through, though nobody is promised so.
  std::vector<float> dx(2);
  q->gradient(std::span<const float>(x), std::span<const float>(y), std::span<const float>(x),
              std::span<float>(dx));
  EXPECT_EQ(dx, x);
  EXPECT_FALSE(q->is_straight_through());

  EXPECT_THROW(register_quantizer("multiple", "", "", factory), Error);
  EXPECT_THROW(register_quantizer("nearest", "", "", factory), Error);
  EXPECT_THROW(register_quantizer("My,Name", "", "", factory), Error);
  EXPECT_THROW(register_quantizer("", "", "", factory), Error);
  EXPECT_THROW(register_quantizer("empty", "", "", nullptr), Error);
  EXPECT_EQ(list_quantizers().back().name, "multiple");
}

}  // namespace
}  // namespace tensorquant
