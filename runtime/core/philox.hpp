// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy
// as 1, 2, 3", SC 2011). A value depends on what it is for (seed, purpose, index) and never on who computes
// it, in which order or on which rank; that is what makes results independent of the rank count.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace trireme {

/// The bare generator: 10 rounds over a 128-bit counter with a 64-bit key.
[[nodiscard]] std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                      std::array<std::uint32_t, 2> key);

/// A random-access sequence named by (seed, purpose, instance). `purpose` is text such as "init/conv1.weight"
/// or "shuffle/blocks"; `instance` tells apart repetitions (an epoch, a step).
class RandomStream {
  public:
    RandomStream(std::uint64_t seed, std::string_view purpose, std::uint64_t instance = 0);

    /// Four 32-bit words of block `index`.
    [[nodiscard]] std::array<std::uint32_t, 4> block(std::uint64_t index) const;
    /// 64 random bits of element `index`.
    [[nodiscard]] std::uint64_t bits(std::uint64_t index) const;
    /// Uniform in [0, 1) with 24 bits, exact in fp32.
    [[nodiscard]] float uniform(std::uint64_t index) const;
    /// Uniform integer in [0, bound); bound > 0. (Lemire's multiply-shift; the bias is below bound / 2^64.)
    [[nodiscard]] std::uint64_t below(std::uint64_t index, std::uint64_t bound) const;
    /// Permutes `items` by Fisher and Yates, drawing element i of the stream for position i.
    void shuffle(std::span<std::uint64_t> items) const;

  private:
    std::array<std::uint32_t, 2> key_;
    std::uint64_t stream_;
};

}  // namespace trireme
