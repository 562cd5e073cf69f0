// The loops over elements under optimizer.hpp, apart so that they alone are compiled for vectors; what they
// do to an element is element_math.hpp's. Every result is one element's own arithmetic in fp32, or a sum
// whose order is written down here, so neither the vector width nor a cut between ranges changes bits.
// Pointers do not overlap.
#pragma once

#include <cstdint>

#include "runtime/optim/element_math.hpp"

namespace trireme::rules {

void sgd(const Sgd& s, std::int64_t n, float* w, const float* g);
void sgd_momentum(const Sgd& s, std::int64_t n, float* w, const float* g, float* velocity);
void sgd_nesterov(const Sgd& s, std::int64_t n, float* w, const float* g, float* velocity);
/// `lr` is the rate times T.
void lars(const Sgd& s, std::int64_t n, float* w, const float* g, float* velocity);

void adamw(const Adam& s, std::int64_t n, float* w, const float* g, float* m, float* v);
/// Moments of a range of at most 4,096 elements; returns the sum of squares of r.
[[nodiscard]] double lamb_moments(const Adam& s, std::int64_t n, const float* w, const float* g, float* m,
                                  float* v);
void lamb(const Adam& s, std::int64_t n, float* w, const float* m, const float* v);

void average(float decay, std::int64_t n, float* ema, const float* w);
void exchange(std::int64_t n, float* a, float* b);

/// Sum of squares in fp64, in the order of LaneSums.
[[nodiscard]] double sum_of_squares(std::int64_t n, const float* values);
/// True where no element is infinite or not a number.
[[nodiscard]] bool all_finite(std::int64_t n, const float* values);

}  // namespace trireme::rules
