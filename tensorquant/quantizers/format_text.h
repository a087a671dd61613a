#ifndef TENSORQUANT_QUANTIZERS_FORMAT_TEXT_H_
#define TENSORQUANT_QUANTIZERS_FORMAT_TEXT_H_

#include <map>
#include <string>

#include "tensorquant/quantizers/format_list.h"
#include "tensorquant/quantizers/spec_reader.h"

namespace tensorquant {

// The format of a string whose name is the entry's. Takes the format's arguments and keywords from
// the reader and leaves the rest.
Format read_format(const FormatEntry& entry, SpecReader& reader);

// The canonical string: lower case, defaults left out, keywords in alphabetical order, numbers as
// short as they read back. `keywords` are printed among the format's own.
std::string write_format(const FormatEntry& entry, const Format& format,
                         std::map<std::string, std::string> keywords);

// The canonical string of an element format alone, without a short name.
std::string element_spec(const ElementFormat& element);

// "nearest,W,F[,overflow=saturate|wrap]": the first word of a choice is what holds where it is left
// out.
std::string format_usage(const FormatEntry& entry);

}  // namespace tensorquant

#endif  // TENSORQUANT_QUANTIZERS_FORMAT_TEXT_H_
