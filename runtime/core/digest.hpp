// Checksums (XXH3, for damage) and digests (SHA-256, for identity), through xxHash and libsodium.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace trireme {

/// XXH3 64 of `size` bytes, seeded.
[[nodiscard]] std::uint64_t xxh3(const void* data, std::size_t size, std::uint64_t seed = 0);
[[nodiscard]] inline std::uint64_t xxh3(std::string_view text) { return xxh3(text.data(), text.size()); }
/// 16 lower-case hex digits.
[[nodiscard]] std::string hex64(std::uint64_t value);

/// SHA-256 of what was fed, as 64 lower-case hex digits.
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(const Sha256&) = delete;
    Sha256& operator=(const Sha256&) = delete;
    void update(std::span<const std::byte> bytes);
    void update(std::string_view text);
    /// Ends the digest; call once.
    [[nodiscard]] std::string finish();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace trireme
