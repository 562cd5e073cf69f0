// JPEG and PNG files of all the kinds that users have, made by the same libraries that read them.
#pragma once

#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

// jpeglib.h needs size_t and FILE before it.
#include <jpeglib.h>
#include <png.h>

namespace trireme::test {

using Bytes8 = std::vector<std::uint8_t>;

/// Channel c of pixel (y, x) of a smooth picture.
inline std::uint8_t smooth(int y, int x, int c) {
    return static_cast<std::uint8_t>(20 + 5 * y + 3 * x + 40 * c);
}

inline Bytes8 smooth_pixels(int height, int width, int channels) {
    Bytes8 pixels;
    for (int y = 0; y < height; ++y) {
        for (int x = 0; x < width; ++x) {
            for (int c = 0; c < channels; ++c) pixels.push_back(smooth(y, x, c));
        }
    }
    return pixels;
}

/// An APP1 segment's contents: EXIF with one entry, the orientation.
inline Bytes8 exif_block(int orientation, bool big_endian, bool with_name = true) {
    Bytes8 block;
    if (with_name) block = {'E', 'x', 'i', 'f', 0, 0};
    const auto put = [&](std::uint32_t value, int bytes) {
        for (int i = 0; i < bytes; ++i)
            block.push_back(static_cast<std::uint8_t>(value >> 8 * (big_endian ? bytes - 1 - i : i)));
    };
    block.insert(block.end(), 2, big_endian ? 'M' : 'I');
    put(42, 2);
    put(8, 4);
    put(2, 2);  // entries
    put(0x010f, 2), put(2, 2), put(4, 4), put(0, 4);
    put(0x0112, 2), put(3, 2), put(1, 4), put(static_cast<std::uint32_t>(orientation), 2), put(0, 2);
    put(0, 4);
    return block;
}

struct JpegOptions {
    J_COLOR_SPACE colours = JCS_RGB;
    int components = 3;
    int quality = 95;
    bool progressive = false;
    int orientation = 0;  ///< 0: no EXIF
    bool big_endian = true;
};

inline std::string make_jpeg(int height, int width, const JpegOptions& options, const Bytes8& pixels) {
    jpeg_compress_struct info{};
    jpeg_error_mgr errors{};
    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    unsigned char* memory = nullptr;
    unsigned long size = 0;
    jpeg_mem_dest(&info, &memory, &size);
    info.image_height = static_cast<JDIMENSION>(height);
    info.image_width = static_cast<JDIMENSION>(width);
    info.input_components = options.components;
    info.in_color_space = options.colours;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, options.quality, TRUE);
    if (options.progressive) jpeg_simple_progression(&info);
    jpeg_start_compress(&info, TRUE);
    if (options.orientation > 0) {
        const Bytes8 exif = exif_block(options.orientation, options.big_endian);
        jpeg_write_marker(&info, JPEG_APP0 + 1, exif.data(), static_cast<unsigned>(exif.size()));
    }
    Bytes8 rows = pixels;
    while (info.next_scanline < info.image_height) {
        JSAMPROW row = rows.data() + static_cast<std::size_t>(info.next_scanline) *
                                         static_cast<std::size_t>(width) *
                                         static_cast<std::size_t>(options.components);
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    std::string bytes(reinterpret_cast<const char*>(memory), size);
    jpeg_destroy_compress(&info);
    std::free(memory);
    return bytes;
}

inline std::string make_jpeg(int height, int width, const JpegOptions& options = {}) {
    return make_jpeg(height, width, options, smooth_pixels(height, width, options.components));
}

struct PngOptions {
    int colour_type = PNG_COLOR_TYPE_RGB;
    int bits = 8;
    bool interlaced = false;
    int orientation = 0;
    std::vector<png_color> palette = {};
    Bytes8 palette_alpha = {};
};

/// `rows` as the file stores them: 16-bit values big-endian, fewer than 8 bits packed.
inline std::string make_png(int height, int width, const PngOptions& options, Bytes8 rows) {
    std::string bytes;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(
        png, &bytes,
        [](png_structp to, png_bytep data, std::size_t size) {
            static_cast<std::string*>(png_get_io_ptr(to))->append(reinterpret_cast<const char*>(data), size);
        },
        [](png_structp) {});
    png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), options.bits,
                 options.colour_type, options.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (!options.palette.empty())
        png_set_PLTE(png, info, options.palette.data(), static_cast<int>(options.palette.size()));
    if (!options.palette_alpha.empty()) {
        png_set_tRNS(png, info, options.palette_alpha.data(), static_cast<int>(options.palette_alpha.size()),
                     nullptr);
    }
    Bytes8 exif = exif_block(options.orientation, false, false);
    if (options.orientation > 0)
        png_set_eXIf_1(png, info, static_cast<png_uint_32>(exif.size()), exif.data());
    png_write_info(png, info);
    const std::size_t row_bytes = png_get_rowbytes(png, info);
    const int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; ++pass) {
        for (int y = 0; y < height; ++y)
            png_write_row(png, rows.data() + static_cast<std::size_t>(y) * row_bytes);
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return bytes;
}

inline std::string make_png(int height, int width, const PngOptions& options = {}) {
    const int channels = options.colour_type == PNG_COLOR_TYPE_RGB         ? 3
                         : options.colour_type == PNG_COLOR_TYPE_RGB_ALPHA ? 4
                         : options.colour_type == PNG_COLOR_TYPE_GA        ? 2
                                                                           : 1;
    Bytes8 rows;
    for (const std::uint8_t value : smooth_pixels(height, width, channels)) {
        rows.push_back(value);
        if (options.bits == 16) rows.push_back(static_cast<std::uint8_t>(value / 2));
    }
    return make_png(height, width, options, rows);
}

}  // namespace trireme::test
