// What this machine can do at most, measured: the two lines of the roofline (Williams, Waterman and
// Patterson: "Roofline: an insightful visual performance model for multicore architectures", 2009).
#pragma once

#include <string>

#include "runtime/numerics.hpp"

namespace trireme {

struct Roofline {
    double flops_per_s =
        0;  ///< in a large matrix product by the kernels that training uses, at their precision
    double bytes_per_s = 0;  ///< read and written together, in a copy that no cache holds
};

/// Measures both on this thread's kernel threads, or on the device; takes about a second and 400 MB there,
/// which are given back.
/// `device_kind` as job.device has it; `numerics` of the job. Throws what the back end throws.
[[nodiscard]] Roofline measure_roofline(const std::string& device_kind, int threads,
                                        const Numerics& numerics);

}  // namespace trireme
