#include "tests/kills/simulated_sweep.h"

int main(int argc, char** argv) { return tensorquant::simulated_sweep(argc, argv, nullptr); }
