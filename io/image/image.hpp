// Images of users, JPEG and PNG, decoded to 8 bits a channel as height, width, channels.
//
// What files in the wild have is brought to one form: palettes and fewer bits are expanded, 16 bits scaled to
// 8, CMYK turned into RGB (by products, without colour profiles), transparent pixels laid over white, and the
// EXIF orientation applied. Colour profiles and gamma are left alone.
//
// Nothing in a file decides how much memory is taken: extents are limited, and so is what the bytes of a file
// can become. Decoding is bit for bit the same on every machine that has the same versions of the libraries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace trireme::io {

/// Extents and pixels, row by row, channels innermost.
struct Image {
    std::int64_t height = 0;
    std::int64_t width = 0;
    int channels = 0;  ///< 1 (grey) or 3 (RGB)
    std::vector<std::uint8_t> pixels;
};

/// What the first bytes of a file say; extents as they are after the orientation is applied.
struct ImageHeader {
    std::int64_t height = 0;
    std::int64_t width = 0;
    bool colour = false;
};

/// More pixels than this are refused: 64 million are 8192 x 8192.
inline constexpr std::int64_t default_max_pixels = std::int64_t{1} << 26;
/// Larger files are refused before they are read.
inline constexpr std::int64_t max_image_file_bytes = std::int64_t{1} << 28;

/// Both throw DataError naming `name`, what is wrong and the remedy: not an image, cut short, damaged, too
/// large.
[[nodiscard]] ImageHeader read_image_header(std::span<const std::byte> file, const std::string& name,
                                            std::int64_t max_pixels = default_max_pixels);
[[nodiscard]] Image decode_image(std::span<const std::byte> file, const std::string& name,
                                 std::int64_t max_pixels = default_max_pixels);

/// The same image with 1 or 3 channels; colours become grey by ITU-R BT.601's weights.
[[nodiscard]] Image with_channels(Image image, int channels);
/// Resized so that it just covers height x width (for squares: its shorter side becomes that long), and the
/// middle of that size cut out. Bilinear, widened where the image shrinks so that nothing is skipped.
[[nodiscard]] Image fitted(const Image& image, std::int64_t height, std::int64_t width);

}  // namespace trireme::io
