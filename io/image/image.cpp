#include "io/image/image.hpp"

#include "io/image/codec.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

constexpr std::int64_t max_extent = 65'535;

}  // namespace

void ImageFile::refuse(const std::string& what) const { throw DataError(fmt::format("{}: {}", name, what)); }

void ImageFile::require_extents(std::int64_t height, std::int64_t width) const {
    if (height < 1 || width < 1 || height > max_extent || width > max_extent || height * width > max_pixels) {
        refuse(fmt::format("says that it is {} pixels wide and {} high, and at most {} pixels are decoded",
                           width, height, max_pixels));
    }
}

ImageHeader read_image_header(std::span<const std::byte> bytes, const std::string& name,
                              std::int64_t max_pixels) {
    const ImageFile file{bytes, name, max_pixels};
    if (is_jpeg(bytes)) return read_jpeg_header(file);
    if (is_png(bytes)) return read_png_header(file);
    file.refuse(bytes.empty() ? "is empty" : "is neither a JPEG nor a PNG image");
}

Image decode_image(std::span<const std::byte> bytes, const std::string& name, std::int64_t max_pixels) {
    const ImageFile file{bytes, name, max_pixels};
    if (is_jpeg(bytes)) return decode_jpeg(file);
    if (is_png(bytes)) return decode_png(file);
    file.refuse(bytes.empty() ? "is empty" : "is neither a JPEG nor a PNG image");
}

Image with_channels(Image image, int channels) {
    if (image.channels == channels) return image;
    const std::size_t count = static_cast<std::size_t>(image.height * image.width);
    Image result{image.height, image.width, channels, {}};
    result.pixels.resize(count * static_cast<std::size_t>(channels));
    for (std::size_t i = 0; i < count; ++i) {
        if (channels == 3) {
            for (std::size_t c = 0; c < 3; ++c) result.pixels[3 * i + c] = image.pixels[i];
        } else {
            // 0.299, 0.587 and 0.114 in 16 bits; they add up to 65536.
            const unsigned sum = 19'595U * image.pixels[3 * i] + 38'470U * image.pixels[3 * i + 1] +
                                 7'471U * image.pixels[3 * i + 2];
            result.pixels[i] = static_cast<std::uint8_t>((sum + 32'768U) >> 16);
        }
    }
    return result;
}

}  // namespace trireme::io
