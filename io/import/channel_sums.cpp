#include "io/import/channel_sums.hpp"

#include <cmath>
#include <sstream>

#include "runtime/core/error.hpp"

namespace trireme::io {

ChannelSums::ChannelSums(DType dtype, std::size_t channels)
    : dtype_(dtype),
      integer_(channels),
      integer_squares_(channels),
      real_(channels),
      real_squares_(channels) {}

void ChannelSums::add(std::span<const std::byte> samples) {
    const std::size_t channels = integer_.size();
    const std::size_t elements = samples.size() / static_cast<std::size_t>(size_of(dtype_));
    const auto* bytes = reinterpret_cast<const unsigned char*>(samples.data());
    const auto* reals = reinterpret_cast<const float*>(samples.data());
    for (std::size_t i = 0; i < elements; i += channels) {
        for (std::size_t c = 0; c < channels; ++c) {
            if (dtype_ == DType::u8) {
                const std::uint64_t value = bytes[i + c];
                integer_[c] += value;
                integer_squares_[c] += value * value;
            } else {
                const double value = reals[i + c];
                real_[c] += value;
                real_squares_[c] += value * value;
            }
        }
    }
    count_ += static_cast<std::int64_t>(elements / channels);
}

void ChannelSums::add(const ChannelSums& other) {
    count_ += other.count_;
    for (std::size_t c = 0; c < integer_.size(); ++c) {
        integer_[c] += other.integer_[c];
        integer_squares_[c] += other.integer_squares_[c];
        real_[c] += other.real_[c];
        real_squares_[c] += other.real_squares_[c];
    }
}

std::vector<double> ChannelSums::mean() const {
    std::vector<double> result(integer_.size(), 0.0);
    if (count_ == 0) return result;
    const double n = static_cast<double>(count_);
    for (std::size_t c = 0; c < result.size(); ++c) {
        result[c] = dtype_ == DType::u8 ? static_cast<double>(integer_[c]) / (255.0 * n) : real_[c] / n;
    }
    return result;
}

std::vector<double> ChannelSums::stddev() const {
    std::vector<double> result(integer_.size(), 1.0);
    if (count_ == 0) return result;
    const double n = static_cast<double>(count_);
    for (std::size_t c = 0; c < result.size(); ++c) {
        if (dtype_ == DType::u8) {
            // n * sum of squares - (sum)^2 is exact in 128 bits and n^2 times the variance.
            const auto sum = static_cast<unsigned __int128>(integer_[c]);
            const unsigned __int128 scaled =
                static_cast<unsigned __int128>(count_) * integer_squares_[c] - sum * sum;
            result[c] = std::sqrt(static_cast<double>(scaled)) / (255.0 * n);
        } else {
            const double mean = real_[c] / n;
            result[c] = std::sqrt(std::max(0.0, real_squares_[c] / n - mean * mean));
        }
    }
    return result;
}

std::string ChannelSums::text() const {
    std::string text = fmt::format("{}", count_);
    for (std::size_t c = 0; c < integer_.size(); ++c) {
        text += fmt::format(" {} {} {:a} {:a}", integer_[c], integer_squares_[c], real_[c], real_squares_[c]);
    }
    return text;
}

ChannelSums ChannelSums::from_text(DType dtype, std::size_t channels, const std::string& text) {
    ChannelSums sums(dtype, channels);
    std::istringstream in(text);
    in >> sums.count_;
    for (std::size_t c = 0; c < channels; ++c) {
        std::string real;
        std::string squares;
        in >> sums.integer_[c] >> sums.integer_squares_[c] >> real >> squares;
        sums.real_[c] = std::strtod(real.c_str(), nullptr);
        sums.real_squares_[c] = std::strtod(squares.c_str(), nullptr);
    }
    ensure(!in.fail(), "sums of channels as text");
    return sums;
}

}  // namespace trireme::io
