#ifndef TENSORQUANT_PYTHON_SRC_TECHNOLOGY_NAMED_H_
#define TENSORQUANT_PYTHON_SRC_TECHNOLOGY_NAMED_H_

#include <string>

#include "tensorquant/search/technology.h"

namespace tensorquant::python {

// 45nm or 7nm. Throws an Error for another name.
const Technology& technology_named(const std::string& name);

}  // namespace tensorquant::python

#endif  // TENSORQUANT_PYTHON_SRC_TECHNOLOGY_NAMED_H_
