#include "io/pipeline/augment.hpp"

#include <cstring>

#include "runtime/core/error.hpp"

namespace trireme::io {

CropFlip::CropFlip(std::uint64_t seed, std::int64_t epoch, const Shape& shape, DType dtype)
    : stream_(seed, "augment", static_cast<std::uint64_t>(epoch)) {
    ensure(shape.rank() == 3, "crop-flip takes images");
    height_ = shape[0];
    width_ = shape[1];
    pixel_bytes_ = shape[2] * size_of(dtype);
}

CropFlip::Move CropFlip::move_of(std::int64_t id) const {
    constexpr std::uint64_t places = 2 * padding + 1;
    const std::uint64_t first = 3 * static_cast<std::uint64_t>(id);
    return {static_cast<std::int64_t>(stream_.below(first, places)) - padding,
            static_cast<std::int64_t>(stream_.below(first + 1, places)) - padding,
            stream_.below(first + 2, 2) == 1};
}

void CropFlip::apply(const std::byte* sample, std::int64_t id, std::byte* out) const {
    const Move move = move_of(id);
    const std::int64_t row_bytes = width_ * pixel_bytes_;
    std::memset(out, 0, static_cast<std::size_t>(height_ * row_bytes));
    // Columns of the image that the crop shows.
    const std::int64_t begin = std::max<std::int64_t>(0, move.column);
    const std::int64_t end = std::min(width_, width_ + move.column);
    if (begin >= end) return;
    for (std::int64_t y = std::max<std::int64_t>(0, -move.row); y < std::min(height_, height_ - move.row);
         ++y) {
        const std::byte* from = sample + (y + move.row) * row_bytes;
        std::byte* to = out + y * row_bytes;
        if (!move.mirrored) {
            std::memcpy(to + (begin - move.column) * pixel_bytes_, from + begin * pixel_bytes_,
                        static_cast<std::size_t>((end - begin) * pixel_bytes_));
            continue;
        }
        for (std::int64_t x = begin; x < end; ++x) {
            std::memcpy(to + (width_ - 1 - (x - move.column)) * pixel_bytes_, from + x * pixel_bytes_,
                        static_cast<std::size_t>(pixel_bytes_));
        }
    }
}

}  // namespace trireme::io
