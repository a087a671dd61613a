#include "tensorquant/search/technology.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tensorquant/base/error.h"
#include "tensorquant/base/text.h"

namespace tensorquant {
namespace {

using nlohmann::json;
using Points = std::vector<std::pair<double, double>>;

// "8": 0.03, the number of its key first, in ascending order.
Points points_of(const json& object, const char* key) {
  Points points;
  for (const auto& [text, value] : object.at(key).items()) {
    char* end = nullptr;
    const double at = std::strtod(text.c_str(), &end);
    const auto energy = value.get<double>();
    if (text.empty() || *end != '\0' || !std::isfinite(at) || !(at > 0) || !(energy > 0)) {
      throw Error("\"" + std::string(key) + "\": \"" + text +
                  "\" and its energy must be numbers above 0");
    }
    points.emplace_back(at, energy);
  }
  std::sort(points.begin(), points.end());
  const auto twice =
      std::adjacent_find(points.begin(), points.end(),
                         [](const auto& a, const auto& b) { return a.first == b.first; });
  if (twice != points.end()) {
    throw Error("\"" + std::string(key) + "\" has two energies of one number");
  }
  return points;
}

EnergyLaw law_of(const json& object, const char* key) {
  const Points points = points_of(object, key);
  if (points.size() != 2) throw Error("\"" + std::string(key) + "\" must have two widths");
  return {points[0].first, points[0].second, points[1].first, points[1].second};
}

}  // namespace

double EnergyLaw::at(double bits) const {
  const double exponent = std::log(wide / narrow) / std::log(wide_bits / narrow_bits);
  return narrow * std::pow(bits / narrow_bits, exponent);
}

double Technology::memory(double kib) const {
  if (kib <= sram.front().first) return sram.front().second;
  for (std::size_t i = 1; i < sram.size(); ++i) {
    if (kib > sram[i].first) continue;
    const double part =
        std::log2(kib / sram[i - 1].first) / std::log2(sram[i].first / sram[i - 1].first);
    return sram[i - 1].second + part * (sram[i].second - sram[i - 1].second);
  }
  return dram;
}

double Technology::multiply(const Operand& a, const Operand& b) const {
  if (!a.multiplies || !b.multiplies) return 0;
  const double bits = std::sqrt(static_cast<double>(a.bits) * b.bits);
  return (a.is_float || b.is_float ? float_multiply : integer_multiply).at(bits);
}

// Every number is in its paper; those of both stand side by side in table 2 of the second one,
// which two transcriptions that do not know each other give as here.
const std::vector<Technology>& all_technologies() {
  static const std::vector<Technology> technologies = {
      {"45nm",
       "M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014",
       {8, 0.03, 32, 0.1},
       {8, 0.2, 32, 3.1},
       {16, 0.4, 32, 0.9},
       {16, 1.1, 32, 3.7},
       {{8, 10}, {32, 20}, {1024, 100}},
       1300},  // the lower end of 1300 to 2600
      {"7nm",
       "N. Jouppi et al., Ten lessons from three generations shaped Google's TPUv4i, ISCA 2021, "
       "table 2",
       {8, 0.007, 32, 0.03},
       {8, 0.07, 32, 1.48},
       {16, 0.16, 32, 0.38},
       {16, 0.34, 32, 1.31},
       {{8, 7.5}, {32, 8.5}, {1024, 14}},
       1300}};  // DDR
  return technologies;
}

Technology technology_from_json(std::string_view text, const std::string& origin) {
  try {
    const json object = json::parse(without_byte_order_mark(text, origin));
    Technology technology = {object.at("name").get<std::string>(),
                             object.at("source").get<std::string>(),
                             law_of(object, "integer_add"),
                             law_of(object, "integer_multiply"),
                             law_of(object, "float_add"),
                             law_of(object, "float_multiply"),
                             points_of(object, "sram"),
                             object.at("dram").get<double>()};
    if (technology.sram.empty()) throw Error("\"sram\" must have a size");
    if (!(technology.dram > 0)) throw Error("\"dram\" must be a number above 0");
    return technology;
  } catch (const json::exception& error) {
    throw Error(origin + ": " + error.what());
  } catch (const Error& error) {
    throw Error(origin + ": " + error.what());
  }
}

}  // namespace tensorquant
