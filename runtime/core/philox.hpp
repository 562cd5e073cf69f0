// Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy
// as 1, 2, 3", SC 2011). A value depends on what it is for (seed, purpose, index) and never on who computes
// it, in which order or on which rank; that is what makes results independent of the rank count.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace trireme {

namespace philox {
inline constexpr std::uint64_t multiplier_0 = 0xD2511F53u;
inline constexpr std::uint64_t multiplier_1 = 0xCD9E8D57u;
inline constexpr std::uint32_t weyl_0 = 0x9E3779B9u;  // the golden ratio
inline constexpr std::uint32_t weyl_1 = 0xBB67AE85u;  // sqrt(3) - 1
inline constexpr int rounds = 10;
}  // namespace philox

/// The bare generator: 10 rounds over a 128-bit counter `c` with a 64-bit key `k`.
[[nodiscard]] constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> c,
                                                                std::array<std::uint32_t, 2> k) {
    for (int round = 0; round < philox::rounds; ++round) {
        const std::uint64_t p0 = philox::multiplier_0 * c[0];
        const std::uint64_t p1 = philox::multiplier_1 * c[2];
        c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<std::uint32_t>(p1),
             static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<std::uint32_t>(p0)};
        k[0] += philox::weyl_0;
        k[1] += philox::weyl_1;
    }
    return c;
}

/// What names a random-access sequence once seed, purpose and instance are hashed: plain numbers, which a
/// kernel on a device can draw by.
struct StreamKey {
    std::array<std::uint32_t, 2> seed;
    std::uint64_t stream;

    /// Four 32-bit words of block `index`.
    [[nodiscard]] constexpr std::array<std::uint32_t, 4> block(std::uint64_t index) const {
        return philox4x32({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                           static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)},
                          seed);
    }
};

/// A random-access sequence named by (seed, purpose, instance). `purpose` is text such as "init/conv1.weight"
/// or "shuffle/blocks"; `instance` tells apart repetitions (an epoch, a step).
class RandomStream {
  public:
    RandomStream(std::uint64_t seed, std::string_view purpose, std::uint64_t instance = 0);

    [[nodiscard]] const StreamKey& key() const { return key_; }
    /// Four 32-bit words of block `index`.
    [[nodiscard]] std::array<std::uint32_t, 4> block(std::uint64_t index) const { return key_.block(index); }
    /// 64 random bits of element `index`.
    [[nodiscard]] std::uint64_t bits(std::uint64_t index) const;
    /// Uniform in [0, 1) with 24 bits, exact in fp32.
    [[nodiscard]] float uniform(std::uint64_t index) const;
    /// Uniform integer in [0, bound); bound > 0. (Lemire's multiply-shift; the bias is below bound / 2^64.)
    [[nodiscard]] std::uint64_t below(std::uint64_t index, std::uint64_t bound) const;
    /// Permutes `items` by Fisher and Yates, drawing element i of the stream for position i.
    void shuffle(std::span<std::uint64_t> items) const;

  private:
    StreamKey key_;
};

}  // namespace trireme
