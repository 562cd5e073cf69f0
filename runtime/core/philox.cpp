#include "runtime/core/philox.hpp"

#include <utility>

#include "runtime/core/digest.hpp"

namespace trireme {

RandomStream::RandomStream(std::uint64_t seed, std::string_view purpose, std::uint64_t instance)
    : key_{{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
           xxh3(purpose.data(), purpose.size(), instance)} {}

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
