// Sums of a channel's values and of their squares, from which mean and standard deviation follow. For bytes
// the sums are integers and exact; for fp32 they are fp64 in the order of the data, taken shard by shard, so
// that they do not depend on who computed which.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/dtype.hpp"

namespace trireme::io {

class ChannelSums {
  public:
    ChannelSums(DType dtype, std::size_t channels);
    /// Adds the elements of whole samples.
    void add(std::span<const std::byte> samples);
    void add(const ChannelSums& other);
    /// Per channel; for bytes of x / 255. Without samples 0 and 1.
    [[nodiscard]] std::vector<double> mean() const;
    [[nodiscard]] std::vector<double> stddev() const;

    /// The exact contents as text, and back, for the exchange between ranks.
    [[nodiscard]] std::string text() const;
    static ChannelSums from_text(DType dtype, std::size_t channels, const std::string& text);

  private:
    DType dtype_;
    std::int64_t count_ = 0;  ///< of each channel
    std::vector<std::uint64_t> integer_;
    std::vector<std::uint64_t> integer_squares_;
    std::vector<double> real_;
    std::vector<double> real_squares_;
};

}  // namespace trireme::io
