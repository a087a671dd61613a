#ifndef TENSORQUANT_SEARCH_TECHNOLOGY_H_
#define TENSORQUANT_SEARCH_TECHNOLOGY_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensorquant/search/operand.h"

namespace tensorquant {

// What an operation of so many bits costs, in pJ, known at two widths; a power law through them
// tells it at all others.
struct EnergyLaw {
  double narrow_bits, narrow, wide_bits, wide;
  double at(double bits) const;
};

// Energies of operations, for ranking maps: orders of magnitude, not those of a chip.
struct Technology {
  std::string name, source;
  EnergyLaw integer_add, integer_multiply, float_add, float_multiply;
  // Size in KiB and pJ for 64 bits, ascending. Between two of them it is linear in log2 of the
  // size, below the first it is the first's, beyond the last the memory is DRAM.
  std::vector<std::pair<double, double>> sram;
  double dram = 0;  // pJ for 64 bits

  double memory(double kib) const;
  // A multiplication at the geometric mean of the widths, of floats where one operand is; 0 where
  // an operand needs none.
  double multiply(const Operand& a, const Operand& b) const;
};

// 45nm and 7nm.
const std::vector<Technology>& all_technologies();

// A JSON object: {"name": "mine", "source": "...", "integer_add": {"8": 0.03, "32": 0.1},
// "integer_multiply": ..., "float_add": {"16": 0.4, "32": 0.9}, "float_multiply": ...,
// "sram": {"8": 10, "32": 20, "1024": 100}, "dram": 1300}. Throws an Error that begins with
// `origin`.
Technology technology_from_json(std::string_view text, const std::string& origin);

}  // namespace tensorquant

#endif  // TENSORQUANT_SEARCH_TECHNOLOGY_H_
