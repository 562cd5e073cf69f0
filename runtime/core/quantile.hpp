// Quantiles of measured times.
#pragma once

#include <vector>

namespace trireme {

/// The value below which a share `q` of the values lies, 0 <= q <= 1: one of the values, the one nearest in
/// rank (0.5: the median). 0 where there are none.
[[nodiscard]] double quantile(std::vector<double> values, double q);

}  // namespace trireme
