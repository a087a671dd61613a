#ifndef TENSORQUANT_REPORT_SECTIONS_H_
#define TENSORQUANT_REPORT_SECTIONS_H_

#include "tensorquant/report/page.h"
#include "tensorquant/report/report.h"

namespace tensorquant {

// The pages of a report, in the order in which people ask.
void add_head(Page& page, const Report& report);
void add_values(Page& page, const Report& report);
void add_places(Page& page, const Report& report);
void add_sensitivity(Page& page, const Report& report);
void add_accuracy_over_cost(Page& page, const Report& report);
void add_accuracy_over_widths(Page& page, const Report& report);
void add_arithmetic(Page& page, const Report& report);

}  // namespace tensorquant

#endif  // TENSORQUANT_REPORT_SECTIONS_H_
