// The augmentation crop-flip, as it is common for small images: four pixels of zeros around the image, a crop
// of the image's own size at a random place, and a mirror image half of the time.
//
// Zeros are zeros as stored, before the normalisation: black, as where images are padded in their file. Where
// the crop lies and whether it is mirrored are functions of (seed, epoch, sample) alone, so that neither
// ranks nor workers nor micro-batches change what is seen.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/core/dtype.hpp"
#include "runtime/core/philox.hpp"
#include "runtime/core/shape.hpp"

namespace trireme::io {

class CropFlip {
  public:
    static constexpr std::int64_t padding = 4;

    /// What is done to one sample: the crop begins at (row, column) of the image, -4 to 4.
    struct Move {
        std::int64_t row = 0;
        std::int64_t column = 0;
        bool mirrored = false;
    };

    /// For one epoch. `shape` is height, width, channels.
    CropFlip(std::uint64_t seed, std::int64_t epoch, const Shape& shape, DType dtype);

    /// `id` is the sample's position in data-set order.
    [[nodiscard]] Move move_of(std::int64_t id) const;
    /// Writes the augmented sample, as stored, to `out`, which does not overlap `sample`.
    void apply(const std::byte* sample, std::int64_t id, std::byte* out) const;

  private:
    RandomStream stream_;
    std::int64_t height_;
    std::int64_t width_;
    std::int64_t pixel_bytes_;
};

}  // namespace trireme::io
