#ifndef TENSORQUANT_MEASURE_PROCESSOR_H_
#define TENSORQUANT_MEASURE_PROCESSOR_H_

#include <istream>
#include <string>

namespace tensorquant::measure {

// The first processor of a file like Linux's /proc/cpuinfo: "AMD EPYC, family 25, model 17".
// Virtual machines hide the product's name; family and model tell the generation. What the file
// does not say is left out; "unknown" where it says nothing.
std::string processor_name(std::istream& cpuinfo);

// This machine's.
std::string processor_name();

}  // namespace tensorquant::measure

#endif  // TENSORQUANT_MEASURE_PROCESSOR_H_
