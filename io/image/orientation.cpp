#include "io/image/codec.hpp"

namespace trireme::io {
namespace {

constexpr unsigned orientation_tag = 0x0112;
constexpr unsigned short_type = 3;
constexpr std::size_t entry_bytes = 12;

/// Numbers of a TIFF structure in its byte order; what lies outside reads as 0.
struct Tiff {
    std::span<const std::byte> bytes;
    bool big_endian = false;

    [[nodiscard]] std::uint32_t number(std::size_t at, std::size_t size) const {
        if (at > bytes.size() || size > bytes.size() - at) return 0;
        std::uint32_t value = 0;
        for (std::size_t i = 0; i < size; ++i) {
            const std::size_t from = big_endian ? at + i : at + size - 1 - i;
            value = value << 8 | std::to_integer<std::uint32_t>(bytes[from]);
        }
        return value;
    }
};

}  // namespace

int exif_orientation(std::span<const std::byte> bytes) {
    constexpr int upright = 1;
    if (bytes.size() < 8 || bytes[0] != bytes[1]) return upright;
    if (bytes[0] != std::byte{'M'} && bytes[0] != std::byte{'I'}) return upright;
    const Tiff tiff{bytes, bytes[0] == std::byte{'M'}};
    if (tiff.number(2, 2) != 42) return upright;
    const std::size_t directory = tiff.number(4, 4);
    const std::size_t entries = tiff.number(directory, 2);
    for (std::size_t i = 0; i < entries; ++i) {
        const std::size_t entry = directory + 2 + i * entry_bytes;
        if (entry + entry_bytes > bytes.size()) return upright;
        if (tiff.number(entry, 2) != orientation_tag) continue;
        const std::uint32_t value = tiff.number(entry + 8, 2);
        const bool sensible = tiff.number(entry + 2, 2) == short_type && value >= 1 && value <= 8;
        return sensible ? static_cast<int>(value) : upright;
    }
    return upright;
}

// The eight orientations by where the stored first row and first column are to be seen:
//      1 top, left      2 top, right      3 bottom, right   4 bottom, left
//      5 left, top      6 right, top      7 right, bottom   8 left, bottom
Image oriented(Image image, int orientation) {
    if (orientation <= 1 || orientation > 8) return image;
    const bool swap = swaps_axes(orientation);
    const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    Image result{swap ? image.width : image.height, swap ? image.height : image.width, image.channels, {}};
    result.pixels.resize(image.pixels.size());
    const std::size_t channels = static_cast<std::size_t>(image.channels);
    std::size_t to = 0;
    for (std::int64_t y = 0; y < result.height; ++y) {
        for (std::int64_t x = 0; x < result.width; ++x) {
            const std::int64_t along_rows = swap ? x : y;
            const std::int64_t along_columns = swap ? y : x;
            const std::int64_t row = from_bottom ? image.height - 1 - along_rows : along_rows;
            const std::int64_t column = from_right ? image.width - 1 - along_columns : along_columns;
            const auto from = static_cast<std::size_t>(row * image.width + column) * channels;
            for (std::size_t c = 0; c < channels; ++c) result.pixels[to++] = image.pixels[from + c];
        }
    }
    return result;
}

}  // namespace trireme::io
