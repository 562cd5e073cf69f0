#include "io/image/image.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "io/image/codec.hpp"
#include "runtime/core/error.hpp"
#include "tests/unit/io/image_files.hpp"

namespace trireme::io {
namespace {

using test::JpegOptions;
using test::make_jpeg;
using test::make_png;
using test::PngOptions;
using test::smooth;
using ::testing::HasSubstr;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

Image decode(const std::string& file) {
    const Image image = decode_image(bytes_of(file), "a.img");
    const ImageHeader header = read_image_header(bytes_of(file), "a.img");
    EXPECT_EQ(header.height, image.height);
    EXPECT_EQ(header.width, image.width);
    EXPECT_EQ(header.colour, image.channels == 3);
    EXPECT_EQ(static_cast<std::int64_t>(image.pixels.size()), image.height * image.width * image.channels);
    return image;
}

std::string refusal(const std::string& file, std::int64_t max_pixels = default_max_pixels) {
    try {
        static_cast<void>(decode_image(bytes_of(file), "a.img", max_pixels));
    } catch (const DataError& error) {
        return error.what();
    }
    return "nothing was thrown";
}

/// The picture that the files are made of, to the loss of JPEG.
void expect_smooth(const Image& image, int tolerance) {
    for (int y = 0; y < image.height; ++y) {
        for (int x = 0; x < image.width; ++x) {
            for (int c = 0; c < image.channels; ++c) {
                const auto at = static_cast<std::size_t>((y * image.width + x) * image.channels + c);
                ASSERT_NEAR(image.pixels[at], smooth(y, x, c), tolerance) << y << ' ' << x << ' ' << c;
            }
        }
    }
}

TEST(Jpeg, GreyRgbAndProgressive) {
    expect_smooth(decode(make_jpeg(12, 17)), 4);
    expect_smooth(decode(make_jpeg(12, 17, {.progressive = true})), 4);
    const Image grey = decode(make_jpeg(12, 17, {.colours = JCS_GRAYSCALE, .components = 1}));
    EXPECT_EQ(grey.channels, 1);
    expect_smooth(grey, 3);
}

TEST(Jpeg, CmykBecomesRgb) {
    // libjpeg writes Adobe's marker, so inks are stored inverted: 255 is none of it.
    const test::Bytes8 inks{255, 128, 0, 255, 255, 255, 255, 51};
    test::Bytes8 pixels;
    for (int i = 0; i < 16 * 16; ++i)
        pixels.insert(pixels.end(), inks.begin() + (i < 128 ? 0 : 4), inks.begin() + (i < 128 ? 4 : 8));
    const Image image =
        decode(make_jpeg(16, 16, {.colours = JCS_CMYK, .components = 4, .quality = 100}, pixels));
    ASSERT_EQ(image.channels, 3);
    EXPECT_NEAR(image.pixels[0], 255, 2);
    EXPECT_NEAR(image.pixels[1], 128, 2);
    EXPECT_NEAR(image.pixels[2], 0, 2);
    for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(image.pixels[15 * 16 * 3 + c], 51, 2);
}

TEST(Png, GreyRgbSixteenBitsAndInterlaced) {
    for (const bool interlaced : {false, true}) {
        for (const int bits : {8, 16}) {
            for (const int type : {PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_GRAY}) {
                const Image image =
                    decode(make_png(11, 13, {.colour_type = type, .bits = bits, .interlaced = interlaced}));
                EXPECT_EQ(image.channels, type == PNG_COLOR_TYPE_RGB ? 3 : 1);
                expect_smooth(image, bits == 16 ? 1 : 0);
            }
        }
    }
}

TEST(Png, AlphaLiesOverWhite) {
    // Per pixel: red, opaque; red, half; red, not there.
    const Image image = decode(make_png(1, 3, {.colour_type = PNG_COLOR_TYPE_RGB_ALPHA},
                                        {200, 0, 0, 255, 200, 0, 0, 128, 200, 0, 0, 0}));
    EXPECT_EQ(image.pixels, (test::Bytes8{200, 0, 0, 227, 127, 127, 255, 255, 255}));
    const Image grey = decode(make_png(1, 2, {.colour_type = PNG_COLOR_TYPE_GA}, {10, 255, 10, 0}));
    EXPECT_EQ(grey.channels, 1);
    EXPECT_EQ(grey.pixels, (test::Bytes8{10, 255}));
}

TEST(Png, PalettesAndFewBits) {
    const PngOptions palette{.colour_type = PNG_COLOR_TYPE_PALETTE,
                             .bits = 2,
                             .palette = {{1, 2, 3}, {40, 50, 60}, {7, 8, 9}},
                             .palette_alpha = {255, 255, 0}};
    const Image image = decode(make_png(1, 4, palette, {0b00'01'10'01}));
    EXPECT_EQ(image.pixels, (test::Bytes8{1, 2, 3, 40, 50, 60, 255, 255, 255, 40, 50, 60}));
    const Image bits = decode(make_png(1, 8, {.colour_type = PNG_COLOR_TYPE_GRAY, .bits = 1}, {0b10110001}));
    EXPECT_EQ(bits.pixels, (test::Bytes8{255, 0, 255, 255, 0, 0, 0, 255}));
}

TEST(Exif, AllOrientationsOfBothFormats) {
    // A 2 x 3 image of distinct greys; what each orientation shows, row by row.
    const test::Bytes8 stored{0, 40, 80, 120, 160, 200};
    const std::vector<std::vector<std::uint8_t>> shown{
        {0, 40, 80, 120, 160, 200}, {80, 40, 0, 200, 160, 120}, {200, 160, 120, 80, 40, 0},
        {120, 160, 200, 0, 40, 80}, {0, 120, 40, 160, 80, 200}, {120, 0, 160, 40, 200, 80},
        {200, 80, 160, 40, 120, 0}, {80, 200, 40, 160, 0, 120}};
    for (int orientation = 1; orientation <= 8; ++orientation) {
        const Image png =
            decode(make_png(2, 3, {.colour_type = PNG_COLOR_TYPE_GRAY, .orientation = orientation}, stored));
        EXPECT_EQ(png.pixels, shown[static_cast<std::size_t>(orientation - 1)]) << orientation;
        EXPECT_EQ(png.height, orientation <= 4 ? 2 : 3);
        for (const bool big_endian : {false, true}) {
            const Image jpeg =
                decode(make_jpeg(24, 40, {.orientation = orientation, .big_endian = big_endian}));
            EXPECT_EQ(jpeg.height, orientation <= 4 ? 24 : 40);
        }
    }
    EXPECT_EQ(exif_orientation({}), 1);
    const auto block = test::exif_block(9, true, false);
    EXPECT_EQ(exif_orientation(std::as_bytes(std::span(block))), 1);
}

TEST(BadImages, AreNamedWithTheReason) {
    EXPECT_THAT(refusal(""), HasSubstr("a.img: is empty"));
    EXPECT_THAT(refusal("hello, these are notes"), HasSubstr("a.img: is neither a JPEG nor a PNG image"));
    const std::string jpeg = make_jpeg(40, 40);
    EXPECT_THAT(refusal(jpeg.substr(0, jpeg.size() / 2)),
                HasSubstr("a.img: cannot be decoded as JPEG: Premature end of JPEG file"));
    EXPECT_THAT(refusal(jpeg.substr(0, 20)), HasSubstr("cannot be decoded as JPEG"));
    const std::string png = make_png(40, 40);
    EXPECT_THAT(refusal(png.substr(0, png.size() / 2)), HasSubstr("a.img: cannot be decoded as PNG: "));
    EXPECT_THAT(refusal(png.substr(0, png.size() - 4)), HasSubstr("cut short"));
    std::string flipped = png;
    flipped[png.size() / 2] = static_cast<char>(flipped[png.size() / 2] ^ 1);
    EXPECT_THAT(refusal(flipped), HasSubstr("cannot be decoded as PNG"));
}

TEST(BadImages, BombsAreRefusedBeforeMemoryIsTaken) {
    EXPECT_THAT(refusal(make_png(40, 40), 1599), HasSubstr("says that it is 40 pixels wide and 40 high"));
    EXPECT_THAT(refusal(make_jpeg(40, 40), 1599), HasSubstr("at most 1599 pixels are decoded"));
    // A header that claims more than its file can hold.
    std::string png = make_png(8, 8);
    png[16 + 2] = 0x1f;  // width 8 -> 7944, height stays
    png[20 + 2] = 0x1f;
    const auto crc =
        static_cast<std::uint32_t>(crc32(0, reinterpret_cast<const unsigned char*>(png.data()) + 12, 17));
    for (int i = 0; i < 4; ++i)
        png[29 + static_cast<std::size_t>(i)] = static_cast<char>(crc >> (24 - 8 * i));
    EXPECT_THAT(refusal(png), HasSubstr("bytes cannot hold"));
}

TEST(Fitted, KeepsAnEvenColourAndTheMiddle) {
    Image even{30, 50, 3, test::Bytes8(30 * 50 * 3, 137)};
    for (const auto& [height, width] : {std::pair{8, 8}, {64, 64}, {10, 40}, {1, 1}, {29, 50}}) {
        const Image small = fitted(even, height, width);
        EXPECT_EQ(small.height, height);
        EXPECT_EQ(small.width, width);
        EXPECT_EQ(small.pixels, test::Bytes8(static_cast<std::size_t>(height * width * 3), 137));
    }
    // Left third black, middle grey, right white: a square out of 3 x 1 is the middle.
    Image thirds{20, 60, 1, {}};
    for (int i = 0; i < 20 * 60; ++i)
        thirds.pixels.push_back(static_cast<std::uint8_t>(i % 60 < 20 ? 0 : i % 60 < 40 ? 100 : 255));
    const Image middle = fitted(thirds, 20, 20);
    EXPECT_EQ(middle.pixels, test::Bytes8(400, 100));
}

TEST(Fitted, HalvingIsATriangleOfFour) {
    // Shrinking by two, pixel i is centred between 2 i and 2 i + 1 and sees four: weights 1 3 3 1 of 8.
    Image line{8, 8, 1, test::Bytes8(64, 0)};
    for (std::size_t y = 0; y < 8; ++y) line.pixels[y * 8 + 3] = 160;
    const Image half = fitted(line, 4, 4);
    const std::vector<std::uint8_t> row(half.pixels.begin() + 4, half.pixels.begin() + 8);
    EXPECT_EQ(row, (std::vector<std::uint8_t>{0, 60, 20, 0}));
    // Growing by two interpolates: quarters and three quarters.
    Image step{1, 2, 1, {0, 200}};
    EXPECT_EQ(fitted(step, 2, 4).pixels, (test::Bytes8{0, 50, 150, 200, 0, 50, 150, 200}));
}

TEST(Channels, GreyIsWeighted) {
    const Image rgb{1, 2, 3, {255, 255, 255, 10, 200, 30}};
    EXPECT_EQ(with_channels(rgb, 1).pixels, (test::Bytes8{255, 124}));
    EXPECT_EQ(with_channels({1, 1, 1, {9}}, 3).pixels, (test::Bytes8{9, 9, 9}));
}

}  // namespace
}  // namespace trireme::io
