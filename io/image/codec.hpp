// The two codecs behind decode_image, and what they share.
#pragma once

#include "io/image/image.hpp"

namespace trireme::io {

/// What one file is, to the codecs: its bytes, its name in messages, and the limit.
struct ImageFile {
    std::span<const std::byte> bytes;
    const std::string& name;
    std::int64_t max_pixels = default_max_pixels;

    /// Throws DataError: "<name>: <what>".
    [[noreturn]] void refuse(const std::string& what) const;
    /// Refuses extents beyond the limits.
    void require_extents(std::int64_t height, std::int64_t width) const;
};

[[nodiscard]] bool is_jpeg(std::span<const std::byte> file);
[[nodiscard]] bool is_png(std::span<const std::byte> file);
[[nodiscard]] ImageHeader read_jpeg_header(const ImageFile& file);
[[nodiscard]] Image decode_jpeg(const ImageFile& file);
[[nodiscard]] ImageHeader read_png_header(const ImageFile& file);
[[nodiscard]] Image decode_png(const ImageFile& file);

[[nodiscard]] std::string jpeg_library_version();
[[nodiscard]] std::string png_library_version();

/// The orientation, 1 to 8, of a TIFF structure as EXIF embeds it (tag 0x0112 of its first directory); 1 when
/// there is none or it is damaged. Reads nothing outside `tiff`.
[[nodiscard]] int exif_orientation(std::span<const std::byte> tiff);
/// Turns and mirrors an image as EXIF's orientation says; 1 leaves it as it is.
[[nodiscard]] Image oriented(Image image, int orientation);
/// Orientations 5 to 8 exchange height and width.
[[nodiscard]] inline bool swaps_axes(int orientation) { return orientation >= 5; }

}  // namespace trireme::io
