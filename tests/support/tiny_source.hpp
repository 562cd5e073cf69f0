// A source of made-up 8x8 images in 5 classes, for tests that need a data set on disk. Values are functions
// of the sample's number, so a test can make any sample again.
#pragma once

#include <filesystem>
#include <numeric>
#include <vector>

#include "io/data_set.hpp"
#include "io/import/import.hpp"
#include "runtime/core/philox.hpp"
#include "tests/support/memory_source.hpp"

namespace trireme::test {

class TinySource final : public io::ImportSource {
  public:
    explicit TinySource(std::int64_t samples) : samples_(samples) {}
    [[nodiscard]] std::string description() const override { return "tiny test images"; }
    [[nodiscard]] std::string licence() const override { return "none"; }
    [[nodiscard]] Shape sample_shape() const override { return {8, 8, 1}; }
    [[nodiscard]] DType dtype() const override { return DType::u8; }
    [[nodiscard]] std::int64_t classes() const override { return 5; }
    [[nodiscard]] std::vector<std::string> class_names() const override { return {}; }
    [[nodiscard]] std::vector<io::SourcePart> parts() const override { return {{"train", samples_}}; }
    [[nodiscard]] std::int32_t label(std::size_t, std::int64_t index) const override {
        return static_cast<std::int32_t>(index % 5);
    }
    void read(std::size_t part, std::int64_t index, std::span<std::byte> x,
              std::span<std::byte> target) const override {
        const RandomStream noise(7, "tiny", static_cast<std::uint64_t>(index));
        const std::int32_t bar = label(part, index);
        io::store_class(bar, target);
        for (std::size_t i = 0; i < x.size(); ++i) {
            const std::uint64_t bright =
                (i % 5 == static_cast<std::size_t>(bar)) ? 150 : 0;  // what there is to learn
            x[i] = static_cast<std::byte>(bright + noise.below(i, 100));
        }
    }

  private:
    std::int64_t samples_;
};

/// Writes a data set whose shards have exactly these sizes (zero is allowed).
inline io::DataSetInfo write_tiny_data_set(const std::filesystem::path& folder,
                                           const std::vector<std::int64_t>& shard_sizes) {
    const TinySource source(std::accumulate(shard_sizes.begin(), shard_sizes.end(), std::int64_t{0}));
    return io::write_import(source, plan_with_shards(source, shard_sizes), folder, io::ImportTeam::alone());
}

}  // namespace trireme::test
