#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tensorquant/base/error.h"
#include "tensorquant/maps/override.h"

namespace tensorquant {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using testing::ThrowsMessage;

// The message for a text that is no map; "no error" for one that is.
std::string error_of(const std::string& text, MapKind kind = MapKind::weights) {
  try {
    QuantizerMap::from_json(text, kind);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

struct Fault {
  std::string text;
  std::string message;
};

TEST(MapErrors, PointAtTheFaultInTheText) {
  const std::vector<Fault> faults = {
      {"", "line 1, column 1: the text is empty"},
      {" \n ", "line 1, column 1: the text is empty"},
      {"\xEF\xBB\xBF", "line 1, column 1: the text is empty"},
      {"{", "line 1, column 2: not valid JSON: unexpected end of input; expected string literal"},
      {"{\"a\": \"fp16\"\n\n",
       "line 1, column 13: not valid JSON: unexpected end of input; expected '}'"},
      {"{\"a\" \"fp16\"}",
       "line 1, column 6: not valid JSON: unexpected string literal; expected ':'"},
      {"{\"a\": \"fp16\"\n \"b\": null}",
       "line 2, column 2: not valid JSON: a comma is missing before this"},
      {"{\"a\": \"fp16\",\n}", "line 2, column 1: not valid JSON: no comma may stand before '}'"},
      {"{\"a\": null,, \"b\": null}",
       "line 1, column 12: not valid JSON: unexpected ','; expected string literal"},
      {"{\"a\": null} x", "line 1, column 13: not valid JSON: invalid literal"},
      {"{\"a\": null} {}",
       "line 1, column 13: not valid JSON: unexpected '{'; expected end of input"},
      {"{\"a\": nul}", "line 1, column 7: not valid JSON: invalid literal"},
      {"{\"a\": NaN}", "line 1, column 7: not valid JSON: invalid literal"},
      {"{\"a\": -Infinity}",
       "line 1, column 7: not valid JSON: invalid number; expected digit "
       "after '-'"},
      {"{'a': null}", "line 1, column 2: not valid JSON: strings take double quotes"},
      {"{a: null}", "line 1, column 2: not valid JSON: invalid literal"},
      {"// 8 bits\n{}", "line 1, column 1: not valid JSON: comments are not allowed"},
      {"{\n  /* 8 bits */ \"a\": null}",
       "line 2, column 3: not valid JSON: comments are not allowed"},
      {"{} # end", "line 1, column 4: not valid JSON: comments are not allowed"},
      {"{\"a\": \"fp16}",
       "line 1, column 7: not valid JSON: invalid string: missing closing quote"},
      {std::string("{}\0{", 4), "line 1, column 3: not valid JSON: unexpected byte 0"},
      {"\xEF\xBB\xBF{\"a\" 1}",
       "line 1, column 6: not valid JSON: unexpected number literal; expected ':'"},
      {"nearest,8,4", "line 1, column 1: not valid JSON: invalid literal"},
      {"{\"a\": 1e999}", "line 1, column 7: not valid JSON: number overflow parsing '1e999'"},
  };
  for (const Fault& fault : faults) EXPECT_EQ(error_of(fault.text), fault.message) << fault.text;
  EXPECT_THAT(error_of("{\"a\": \"fp16\n\"}"),
              StartsWith("line 1, column 12: not valid JSON: invalid string: control character"));
  EXPECT_THAT(error_of("{\"a\": \"fp\\16\"}"),
              StartsWith("line 1, column 11: not valid JSON: invalid string: forbidden character"));
  EXPECT_THAT(error_of("{\"\xC3\xA4\xFF\": null}"),
              StartsWith("line 1, column 4: not valid JSON: invalid string: ill-formed UTF-8"));
}

TEST(MapErrors, PointAtTheWrongType) {
  const std::string value = "expected a quantizer string, null or an object with 'weight' and ";
  const std::vector<Fault> faults = {
      {"null", "line 1, column 1: expected an object of rules or a quantizer string, found null"},
      {" [\"fp16\"]",
       "line 1, column 2: expected an object of rules or a quantizer string, found an array"},
      {"8", "line 1, column 1: expected an object of rules or a quantizer string, found a number"},
      {"{\"a\": 8}", "line 1, column 7: " + value + "'bias', found a number"},
      {"{\"a\": -1.5e3}", "line 1, column 7: " + value + "'bias', found a number"},
      {"{\"a\": true}", "line 1, column 7: " + value + "'bias', found true or false"},
      {"{\"a\": null,\n\"b\": [{\"c\": [1, \"x\"]}, null]}",
       "line 2, column 6: " + value + "'bias', found an array"},
      {"{\"a\": {}}", "line 1, column 7: an empty object; null leaves a layer alone"},
      {"{\"a\": {\"weight\": 8}}",
       "line 1, column 18: expected a quantizer string or null, found a number"},
      {"{\"a\": {\"weight\": {\"weight\": \"fp16\"}}}",
       "line 1, column 18: expected a quantizer string or null, found an object"},
      {"{\"a\": {\"weight\": \"fp16\", \"biases\": \"fp16\"}}",
       "line 1, column 26: unknown key 'biases' in a weights map, expected 'weight' or 'bias'"},
  };
  for (const Fault& fault : faults) EXPECT_EQ(error_of(fault.text), fault.message) << fault.text;
  EXPECT_EQ(error_of(R"({"a": {"weight": "fp16"}})", MapKind::extrinsic),
            "line 1, column 7: expected a quantizer string or null, found an object");
}

TEST(MapErrors, PointIntoTheQuantizerString) {
  const std::string unknown =
      "quantizer 'neares,8,4': unknown name 'neares', did you mean 'nearest'?";
  EXPECT_EQ(error_of(R"({"conv1": "neares,8,4"})"), "line 1, column 12: " + unknown);
  EXPECT_EQ(error_of("{\n  \"fc\": {\"bias\":\n    \"neares,8,4\"}}"),
            "line 3, column 6: " + unknown);
  EXPECT_EQ(error_of("\"neares,8,4\""), "line 1, column 2: " + unknown);
  EXPECT_EQ(error_of("{\"\xC3\xA4\": \"neares,8,4\"}"), "line 1, column 8: " + unknown);
  EXPECT_EQ(error_of("\xEF\xBB\xBF{\"a\": \"neares,8,4\"}"), "line 1, column 8: " + unknown);
  EXPECT_EQ(error_of("{\"a\\\"\": \"neares,8,4\"}"), "line 1, column 10: " + unknown);
  // The fault is at the eleventh character of the string, behind an escape of six.
  EXPECT_THAT(error_of(R"({"a": "nearest\u002c8,x"})"), StartsWith("line 1, column 23: "));
  EXPECT_THAT(error_of(R"({"a": "nearest,8,x"})"), StartsWith("line 1, column 18: "));
}

TEST(MapErrors, NameBothPlacesOfADuplicateKey) {
  EXPECT_EQ(error_of("{\"conv\": \"fp16\",\n  \"fc\": null,\n  \"conv\": null}"),
            "line 3, column 3: duplicate key 'conv', first at line 1, column 2");
  EXPECT_EQ(error_of(R"({"a": null, "\u0061": null})"),
            "line 1, column 13: duplicate key 'a', first at line 1, column 2");
  EXPECT_EQ(error_of(R"({"a": {"bias": null, "bias": null}})"),
            "line 1, column 22: duplicate key 'bias', first at line 1, column 8");
  EXPECT_EQ(error_of(R"({"a": {"bias": null}, "b": {"bias": null}})"), "no error");
}

TEST(MapErrors, PointAtTheKeyWithAnInvalidRegularExpression) {
  EXPECT_THAT(error_of("{\"a\": null,\n \"re:layer[\": null}"),
              StartsWith("line 2, column 2: invalid regular expression 'layer[': "));
}

TEST(MapErrors, PointAtAWrongAccumulate) {
  const auto accumulate = [](const std::string& text) {
    return error_of("{\"fc\": {\"accumulate\": " + text + "}}", MapKind::intrinsic);
  };
  const std::string expected = R"(expected "step", "once", "chunk:N", "align:N:F" or "fused")";
  EXPECT_EQ(accumulate("\"twice\""), "line 1, column 23: unknown accumulate 'twice', " + expected);
  EXPECT_EQ(accumulate("\"Step\""), "line 1, column 23: unknown accumulate 'Step', " + expected);
  EXPECT_EQ(accumulate("\"chunk\""), "line 1, column 23: unknown accumulate 'chunk', " + expected);
  EXPECT_EQ(accumulate("8"), "line 1, column 23: " + expected + ", found a number");
  EXPECT_EQ(accumulate("null"), "line 1, column 23: " + expected + ", found null");
  for (const std::string chunk : {"0", "", "-1", "2.5", "4 ", " 4", "+4", "x", "9999999999"}) {
    EXPECT_EQ(
        accumulate("\"chunk:" + chunk + "\""),
        "line 1, column 30: the chunk of 'chunk:" + chunk + "' must be an integer of 1 or more");
  }
  EXPECT_EQ(error_of(R"({"fc": {"weight": "fp16"}})", MapKind::intrinsic),
            "line 1, column 9: unknown key 'weight' in an intrinsic map, expected 'product', "
            "'accumulator', 'accumulate', 'outer' or 'order'");
}

TEST(MapErrors, PointAtAWrongAlignment) {
  const auto accumulate = [](const std::string& text) {
    return error_of("{\"fc\": {\"accumulate\": \"" + text + "\"}}", MapKind::intrinsic);
  };
  for (const std::string chunk : {"", "0", "x", "-1", "2.5"}) {
    const std::string text = "align:" + chunk + ":13";
    EXPECT_EQ(accumulate(text),
              "line 1, column 30: the chunk of '" + text + "' must be an integer of 1 or more");
  }
  for (const std::string fraction : {"", ":", ":0", ":65", ":x", ":13:", ":-1", ":+1", ": 1"}) {
    const std::string text = "align:32" + fraction;
    EXPECT_EQ(accumulate(text), "line 1, column " + std::string(fraction.empty() ? "32" : "33") +
                                    ": the fraction of '" + text +
                                    "' must be an integer from 1 to 64, as 13 in align:32:13");
  }
}

TEST(MapErrors, PointAtAWrongOuterSum) {
  const auto outer = [](const std::string& text) {
    return error_of("{\"fc\": {\"outer\": " + text + "}}", MapKind::intrinsic);
  };
  const std::string every = "line 1, column 27: 'every' must be an integer of 1 or more";
  EXPECT_EQ(outer("\"fp16\""),
            "line 1, column 18: expected an object with 'accumulator' and 'every', found a string");
  EXPECT_EQ(outer("null"),
            "line 1, column 18: expected an object with 'accumulator' and 'every', found null");
  EXPECT_EQ(outer("{}"),
            "line 1, column 18: an empty object, expected one with 'accumulator' or 'every'");
  EXPECT_EQ(outer("{\"B\": 1}"),
            "line 1, column 19: unknown key 'B' in 'outer', expected 'accumulator' or 'every'");
  EXPECT_EQ(
      outer("{\"accumulator\": \"neares\"}"),
      "line 1, column 35: quantizer 'neares': unknown name 'neares', did you mean 'nearest'?");
  for (const char* number : {"0", "-1", "1.5", "1e3", "99999999999999999999", "\"8\"", "true"}) {
    EXPECT_EQ(outer("{\"every\":" + std::string(number) + "}"), every) << number;
  }
  EXPECT_EQ(error_of(R"({"fc": {"order": "depth"}})", MapKind::intrinsic),
            "line 1, column 18: unknown order 'depth', expected \"channel\" or \"tap\"");
  EXPECT_EQ(error_of(R"({"fc": {"order": 1}})", MapKind::intrinsic),
            "line 1, column 18: expected \"channel\" or \"tap\", found a number");
  EXPECT_EQ(error_of(R"({"fc": {"outer": {"every": 2}}})"),
            "line 1, column 9: unknown key 'outer' in a weights map, expected 'weight' or 'bias'");
}

TEST(MapErrors, SayThatAPieceOfHardwareIsNoQuantizer) {
  EXPECT_EQ(error_of(R"({"fc": "hopper_fp8"})"),
            "line 1, column 9: quantizer 'hopper_fp8': 'hopper_fp8' is no quantizer but a value of "
            "intrinsic maps");
}

TEST(MapErrors, NestingTooDeepIsAnErrorAndNotACrash) {
  EXPECT_EQ(error_of(std::string(1'000'000, '[')), "line 1, column 17: nested too deeply");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_THAT(error_of(objects), HasSubstr("nested too deeply"));
}

TEST(MapErrors, StayOnOneLine) {
  EXPECT_EQ(error_of(R"({"a": {"b\r\nc": null}})"),
            "line 1, column 8: unknown key 'b\\x0d\\x0ac' in a weights map, expected 'weight' or "
            "'bias'");
  EXPECT_EQ(error_of(R"({"a": "n\nx"})").find('\n'), std::string::npos);
}

TEST(MapErrors, NameTheFile) {
  const auto path = std::filesystem::path(testing::TempDir()) / "tensorquant_map_errors.json";
  const auto read = [&](const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
    return [&] { QuantizerMap::from_file(path); };
  };
  EXPECT_THAT(read("{\r\n  \"conv\": \"fp16\",\r\n  \"conv\": \"fp16\"}"),
              ThrowsMessage<Error>(path.string() + ":3:3: duplicate key 'conv', first at " +
                                   path.string() + ":2:3"));
  EXPECT_THAT(read(""), ThrowsMessage<Error>(path.string() + ":1:1: the file is empty"));
  EXPECT_THAT(read("{\"a\": \"neares,8,4\"}"), ThrowsMessage<Error>(HasSubstr(".json:1:8: quant")));
  std::filesystem::remove(path);
}

// Every text either is a map or throws an Error: nothing else is thrown, nothing crashes. A map
// survives the way through its canonical text.
void expect_map_or_error(const std::string& text, MapKind kind) {
  try {
    const QuantizerMap map = QuantizerMap::from_json(text, kind);
    EXPECT_EQ(QuantizerMap::from_json(map.to_json(), kind), map) << text;
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << text;
  }
}

TEST(MapErrors, EveryTruncationAndEveryChangedByteIsAMapOrAnError) {
  const std::vector<std::pair<std::string, MapKind>> texts = {
      {"\xEF\xBB\xBF{\"conv\": \"nearest,8,4\",\r\n\"=f\\u00e4\\n\": {\"weight\": \"fp16\", "
       "\"bias\":null},\"re:a[0-9]+\": \"sparse,0.5\"}",
       MapKind::weights},
      {R"({"": {"product":"none", "accumulator" : "nearest,8,2", "accumulate":"chunk:8"}})",
       MapKind::intrinsic},
      {R"({"a": "mx", "": {"accumulate":"align:4:9", "outer": {"accumulator": "fp16", "every": 8}}})",
       MapKind::intrinsic},
      {R"("nearest\u002c8,4")", MapKind::extrinsic},
      {R"({"a": [1, -2.5e3, true, "\ud83d\ude00"]})", MapKind::extrinsic},
  };
  for (const auto& [text, kind] : texts) {
    for (std::size_t i = 0; i < text.size(); ++i) {
      expect_map_or_error(text.substr(0, i), kind);
      expect_map_or_error(text.substr(0, i) + text.substr(i + 1), kind);
      for (int byte = 0; byte < 256; ++byte) {
        std::string changed = text;
        changed[i] = static_cast<char>(byte);
        expect_map_or_error(changed, kind);
      }
    }
    expect_map_or_error(text, kind);
  }
}

}  // namespace
}  // namespace tensorquant
