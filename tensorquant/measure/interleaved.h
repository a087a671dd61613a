#ifndef TENSORQUANT_MEASURE_INTERLEAVED_H_
#define TENSORQUANT_MEASURE_INTERLEAVED_H_

#include <functional>
#include <string>
#include <vector>

namespace tensorquant::measure {

// One of the things that are measured against each other.
struct Case {
  std::string name;
  std::function<void()> run;
  int calls = 1;                     // in a row, of which the mean time is taken
  std::vector<double> seconds = {};  // a call, of each round
};

// Of the sorted values, the one at this part of the way: 0.5 for the median.
double quantile(std::vector<double> values, double part);
double median(std::vector<double> values);

// As many calls as together take this long, at most a million, by a try.
int calls_for(const std::function<void()>& run, double seconds);

// Runs all cases once a round, in an order that changes from round to round, so that a disturbance
// of the machine meets all of them. The first two rounds warm up and do not count.
void run_interleaved(std::vector<Case>& cases, int rounds);

// The median over the rounds, or another quantile, of this case's time over the other's in the same
// round.
double ratio(const Case& a, const Case& b, double part = 0.5);

}  // namespace tensorquant::measure

#endif  // TENSORQUANT_MEASURE_INTERLEAVED_H_
