// Back ends of devices that are described, not there: for `trireme inspect --device cuda --sm 90` on any
// machine, in any build. Plans are those of the real device, but for what its libraries refuse on the spot.
#pragma once

#include "runtime/available_backends.hpp"

namespace trireme {

/// Throws ConfigError for a GPU older than the kernels are made for.
[[nodiscard]] Backend planned_cuda_backend(int sm, const Numerics& numerics);

}  // namespace trireme
