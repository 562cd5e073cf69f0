#include "runtime/core/philox.hpp"

#include <utility>

#include "runtime/core/digest.hpp"

namespace trireme {

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> c, std::array<std::uint32_t, 2> k) {
    constexpr std::uint64_t multiplier_0 = 0xD2511F53u;
    constexpr std::uint64_t multiplier_1 = 0xCD9E8D57u;
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p0 = multiplier_0 * c[0];
        const std::uint64_t p1 = multiplier_1 * c[2];
        c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k[0], static_cast<std::uint32_t>(p1),
             static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k[1], static_cast<std::uint32_t>(p0)};
        k[0] += 0x9E3779B9u;  // the golden ratio and sqrt(3) - 1, the paper's Weyl constants
        k[1] += 0xBB67AE85u;
    }
    return c;
}

RandomStream::RandomStream(std::uint64_t seed, std::string_view purpose, std::uint64_t instance)
    : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
      stream_(xxh3(purpose.data(), purpose.size(), instance)) {}

std::array<std::uint32_t, 4> RandomStream::block(std::uint64_t index) const {
    return philox4x32({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                       static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)},
                      key_);
}

std::uint64_t RandomStream::bits(std::uint64_t index) const {
    const auto words = block(index >> 1);
    const std::size_t half = (index & 1) * 2;
    return static_cast<std::uint64_t>(words[half + 1]) << 32 | words[half];
}

float RandomStream::uniform(std::uint64_t index) const {
    const auto words = block(index >> 2);
    return static_cast<float>(words[index & 3] >> 8) * 0x1p-24f;
}

std::uint64_t RandomStream::below(std::uint64_t index, std::uint64_t bound) const {
    return static_cast<std::uint64_t>(static_cast<unsigned __int128>(bits(index)) * bound >> 64);
}

void RandomStream::shuffle(std::span<std::uint64_t> items) const {
    for (std::uint64_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i - 1, i)]);
}

}  // namespace trireme
