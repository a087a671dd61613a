#include "tensorquant/measure/processor.h"

#include <array>
#include <fstream>

namespace tensorquant::measure {

std::string processor_name(std::istream& cpuinfo) {
  struct Field {
    const char* key;
    const char* prefix;
    std::string value = {};
  };
  std::array<Field, 3> fields = {Field{"model name", ""}, Field{"cpu family", "family "},
                                 Field{"model", "model "}};
  std::string line;
  while (std::getline(cpuinfo, line) && !line.empty()) {  // an empty line ends a processor
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || colon + 2 >= line.size()) continue;
    const std::string key = line.substr(0, line.find_last_not_of(" \t:", colon) + 1);
    for (Field& field : fields) {
      if (key == field.key) field.value = line.substr(colon + 2);
    }
  }
  std::string name;
  for (const Field& field : fields) {
    if (field.value.empty()) continue;
    name += (name.empty() ? "" : ", ") + (field.prefix + field.value);
  }
  return name.empty() ? "unknown" : name;
}

std::string processor_name() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  return processor_name(cpuinfo);
}

}  // namespace tensorquant::measure
