#include <cmath>

#include "io/image/image.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

constexpr int weight_bits = 16;
constexpr std::int32_t weight_one = 1 << weight_bits;

/// Where the pixels of one axis of the result come from: input elements `first` on, with weights that add up
/// to weight_one exactly, so that an even colour stays what it is.
struct Tap {
    std::int64_t first = 0;
    std::vector<std::int32_t> weights;
};

/// Taps of the result's pixels `begin` to `begin` + `count` - 1, were the axis resized from `in` to `out`
/// pixels. A triangle as wide as two pixels of the larger grid.
std::vector<Tap> taps(std::int64_t in, std::int64_t out, std::int64_t begin, std::int64_t count) {
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    const double radius = std::max(scale, 1.0);
    std::vector<Tap> result(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) {
        const double centre = (static_cast<double>(begin + i) + 0.5) * scale;
        Tap& tap = result[static_cast<std::size_t>(i)];
        tap.first = std::max<std::int64_t>(0, static_cast<std::int64_t>(std::floor(centre - radius + 0.5)));
        tap.first = std::min(tap.first, in - 1);
        const std::int64_t end = std::clamp<std::int64_t>(
            static_cast<std::int64_t>(std::floor(centre + radius + 0.5)), tap.first + 1, in);
        std::vector<double> heights;
        double sum = 0;
        for (std::int64_t j = tap.first; j < end; ++j) {
            heights.push_back(
                std::max(0.0, 1.0 - std::abs((static_cast<double>(j) + 0.5 - centre) / radius)));
            sum += heights.back();
        }
        std::int32_t left = weight_one;
        for (const double height : heights) {
            tap.weights.push_back(static_cast<std::int32_t>(std::lround(height / sum * weight_one)));
            left -= tap.weights.back();
        }
        *std::max_element(tap.weights.begin(), tap.weights.end()) += left;
    }
    return result;
}

std::uint8_t rounded(std::int32_t sum) {
    return static_cast<std::uint8_t>(std::clamp((sum + weight_one / 2) >> weight_bits, 0, 255));
}

/// Resizes the columns of every row that `rows` touch.
Image narrowed(const Image& image, const std::vector<Tap>& columns, std::int64_t first_row,
               std::int64_t rows) {
    Image result{rows, static_cast<std::int64_t>(columns.size()), image.channels, {}};
    result.pixels.reserve(static_cast<std::size_t>(rows) * columns.size() *
                          static_cast<std::size_t>(image.channels));
    const auto channels = static_cast<std::size_t>(image.channels);
    for (std::int64_t y = 0; y < rows; ++y) {
        const std::uint8_t* row =
            image.pixels.data() + static_cast<std::size_t>((first_row + y) * image.width) * channels;
        for (const Tap& tap : columns) {
            for (std::size_t c = 0; c < channels; ++c) {
                const std::uint8_t* from = row + static_cast<std::size_t>(tap.first) * channels + c;
                std::int32_t sum = 0;
                for (const std::int32_t weight : tap.weights) {
                    sum += weight * *from;
                    from += channels;
                }
                result.pixels.push_back(rounded(sum));
            }
        }
    }
    return result;
}

/// Resizes the rows of an image whose row 0 is row `first_row` of the taps.
Image shortened(const Image& image, const std::vector<Tap>& rows, std::int64_t first_row) {
    Image result{static_cast<std::int64_t>(rows.size()), image.width, image.channels, {}};
    const std::size_t row_bytes = static_cast<std::size_t>(image.width * image.channels);
    std::vector<std::int32_t> sums(row_bytes);
    result.pixels.reserve(rows.size() * row_bytes);
    for (const Tap& tap : rows) {
        std::fill(sums.begin(), sums.end(), 0);
        const std::uint8_t* from =
            image.pixels.data() + static_cast<std::size_t>(tap.first - first_row) * row_bytes;
        for (const std::int32_t weight : tap.weights) {
            for (std::size_t i = 0; i < row_bytes; ++i) sums[i] += weight * from[i];
            from += row_bytes;
        }
        for (const std::int32_t sum : sums) result.pixels.push_back(rounded(sum));
    }
    return result;
}

/// a * b / c, rounded.
std::int64_t scaled(std::int64_t a, std::int64_t b, std::int64_t c) { return (2 * a * b + c) / (2 * c); }

}  // namespace

Image fitted(const Image& image, std::int64_t height, std::int64_t width) {
    ensure(image.height > 0 && image.width > 0 && height > 0 && width > 0, "extents of images");
    if (image.height == height && image.width == width) return image;
    std::int64_t full_height = height;
    std::int64_t full_width = width;
    if (height * image.width >= width * image.height) {
        full_width = std::max(width, scaled(image.width, height, image.height));
    } else {
        full_height = std::max(height, scaled(image.height, width, image.width));
    }
    const std::vector<Tap> columns = taps(image.width, full_width, (full_width - width) / 2, width);
    const std::vector<Tap> rows = taps(image.height, full_height, (full_height - height) / 2, height);
    const std::int64_t first = rows.front().first;
    const std::int64_t end = rows.back().first + static_cast<std::int64_t>(rows.back().weights.size());
    return shortened(narrowed(image, columns, first, end - first), rows, first);
}

}  // namespace trireme::io
