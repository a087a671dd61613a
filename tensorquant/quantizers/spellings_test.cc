#include "tensorquant/quantizers/spellings.h"

#include <gtest/gtest.h>

#include <string>

#include "tensorquant/quantizers/quantizer.h"
#include "tensorquant/quantizers/registry.h"
#include "tensorquant/quantizers/spec_error.h"

namespace tensorquant {
namespace {

TEST(SpellingOfOthers, StandsForAStringOfOurs) {
  struct Row {
    const char *theirs, *ours;
  };
  for (const Row& row : {
           Row{"ap_fixed<8,4>", "down,8,4,overflow=wrap"},
           Row{"ap_fixed<8,4,AP_RND,AP_SAT>", "nearest_up,8,4"},
           Row{"ap_fixed< 16 , 6 , AP_RND_CONV >", "even,16,10,overflow=wrap"},
           Row{"ap_fixed<8,-2,AP_TRN_ZERO,AP_SAT_SYM>", "zero,8,10,overflow=symmetric"},
           Row{"ap_fixed<8,4,AP_RND_INF,AP_SAT_ZERO>", "nearest,8,4,overflow=zero"},
           Row{"ap_fixed<8,4,AP_RND_MIN_INF,AP_WRAP_SM>",
               "nearest_down,8,4,overflow=sign_magnitude"},
           Row{"ap_ufixed<8,4,AP_RND_ZERO,AP_SAT>", "nearest_zero,8,4,unsigned"},
           Row{"ap_ufixed<8,0,AP_TRN,AP_SAT_SYM>,grad=clipped", "down,8,8,unsigned,grad=clipped"},
           Row{"float8_e4m3fn", "e4m3fn"},
           Row{"torch.float8_e5m2,overflow=saturate", "e5m2,overflow=saturate"},
           Row{"ml_dtypes.float8_e4m3b11fnuz", "e4m3b11fnuz"},
           Row{"float8_e3m4", "float,3,4"},
           Row{"float6_e2m3fn", "e2m3"},
           Row{"torch.float4_e2m1fn_x2", "e2m1"},
           Row{"float4_e2m1fn,rounding=odd", "e2m1,rounding=odd"},
           Row{" BFloat16 , rounding=zero", "bf16,rounding=zero"},
           Row{"half", "fp16"},
       }) {
    EXPECT_EQ(make_quantizer(row.theirs)->spec(), row.ours) << row.theirs;
  }
}

TEST(SpellingOfOthers, PointsAtItsFaults) {
  struct Fault {
    const char* spec;
    std::size_t column;
    const char* reason;
  };
  for (const Fault& fault : {
           Fault{"ap_fixed", 9, "expected '<W,I>' or '<W,I,Q,O>' behind ap_fixed"},
           Fault{"ap_fixed<8,4", 9, "expected '<W,I>'"},
           Fault{"ap_fixed<8>", 11, "wants an integer I in [-56, 72]"},
           Fault{"ap_fixed<0,4>", 10, "expected an integer W in [1, 64], found '0'"},
           Fault{"ap_fixed<8,x>", 12, "expected an integer I"},
           Fault{"ap_fixed<8,4,AP_RDN>", 14, "expected the quantization mode to be 'ap_trn', "},
           Fault{"ap_fixed<8,4,AP_RND,SAT>", 21, "or 'ap_wrap_sm', found 'sat'"},
           Fault{"ap_fixed<8,4,AP_RND,AP_SAT,3>", 28, "takes 4 arguments, '3' is one too many"},
           Fault{"ap_fixed<8,100>", 12, "expected an integer I in [-56, 72], found '100'"},
           Fault{"ap_ufixed<8,4,AP_RND,AP_WRAP_SM>", 22, "or 'ap_sat_sym', found 'ap_wrap_sm'"},
           Fault{"ap_fixed<8,4>,overflw=zero", 15, "no keyword 'overflw'"},
           Fault{"float8_e4m3fn,overflow=infinity", 24, "found 'infinity'"},
       }) {
    try {
      make_quantizer(fault.spec);
      ADD_FAILURE() << "'" << fault.spec << "' was taken";
    } catch (const SpecError& e) {
      EXPECT_EQ(e.column(), fault.column) << e.what();
      EXPECT_EQ(e.spec(), fault.spec);
      EXPECT_NE(e.reason().find(fault.reason), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace tensorquant
