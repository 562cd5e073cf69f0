// From stored samples to fp32: x / 255 for bytes, and the normalisation by channel. Two rounded operations an
// element (multiply, add) on every machine, so that values do not depend on the instruction set.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "io/data_set.hpp"

namespace trireme::io {

class Decoder {
  public:
    /// A channel without variation (standard deviation 0) is divided by 1.
    Decoder(const DataSetInfo& info, bool normalize);
    /// One sample.
    void decode(const std::byte* sample, float* out) const;

  private:
    DType dtype_;
    std::size_t elements_;
    bool copy_;
    /// Scale and shift of a stretch of elements, a whole number of channels: long enough for the vector
    /// units.
    std::vector<float> scale_;
    std::vector<float> shift_;
};

}  // namespace trireme::io
