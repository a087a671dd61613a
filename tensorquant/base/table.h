#ifndef TENSORQUANT_BASE_TABLE_H_
#define TENSORQUANT_BASE_TABLE_H_

#include <string>
#include <vector>

namespace tensorquant {

// Rows of cells under their headings, in columns as wide as they need; ends with a new line.
std::string format_table(const std::vector<std::string>& headings,
                         const std::vector<std::vector<std::string>>& rows);

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_TABLE_H_
