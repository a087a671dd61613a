#ifndef TENSORQUANT_BASE_TABLE_H_
#define TENSORQUANT_BASE_TABLE_H_

#include <string>
#include <vector>

namespace tensorquant {

// Rows of cells under their headings, in columns as wide as they need on a terminal; ends with a
// new line. Each cell is shown as one_line() shows it.
std::string format_table(const std::vector<std::string>& headings,
                         const std::vector<std::vector<std::string>>& rows);

// A cell with a number as printf() writes it: at most 31 characters.
std::string cell(const char* format, double number);

}  // namespace tensorquant

#endif  // TENSORQUANT_BASE_TABLE_H_
