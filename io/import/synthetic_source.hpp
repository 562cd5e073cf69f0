// Made-up images of the shape of well-known sets, for benchmarks and for trying things out where the real
// ones are not at hand. A network can learn them (each class has a pattern, under noise), but what it reaches
// on them says nothing about real images.
//
// A pattern is a coarse grid of random brightness, enlarged; a sample is its class's pattern moved by a few
// pixels, brightened or darkened, and noise. All of it in integers and drawn by (seed, class or sample), so
// that every machine and any number of ranks make the same bytes.
#pragma once

#include <optional>

#include "io/import/source.hpp"

namespace trireme::io {

/// Height and width in pixels.
struct ImageSize {
    std::int64_t height = 0;
    std::int64_t width = 0;
    bool operator==(const ImageSize&) const = default;
};

class SyntheticSource final : public ImportSource {
  public:
    /// `text` is "cifar10", "imagenet" or "mnist", and may name the number of training samples:
    /// "cifar10:5000". There are as many test samples as the real set has for so many, one at least. Throws
    /// ConfigError.
    SyntheticSource(const std::string& text, std::uint64_t seed, std::optional<ImageSize> size = {});

    [[nodiscard]] std::string description() const override;
    [[nodiscard]] std::string licence() const override { return "none needed (made-up data)"; }
    [[nodiscard]] Shape sample_shape() const override { return shape_; }
    [[nodiscard]] DType dtype() const override { return DType::u8; }
    [[nodiscard]] std::int64_t classes() const override { return classes_; }
    [[nodiscard]] std::vector<std::string> class_names() const override { return {}; }
    [[nodiscard]] std::vector<SourcePart> parts() const override;
    void read(std::size_t part, std::int64_t index, std::span<std::byte> x,
              std::span<std::byte> target) const override;
    [[nodiscard]] std::int32_t label(std::size_t part, std::int64_t index) const override;

  private:
    std::string name_;
    std::uint64_t seed_;
    Shape shape_;
    std::int64_t classes_ = 0;
    std::int64_t train_ = 0;
    std::int64_t test_ = 0;
    std::vector<std::uint8_t> patterns_;  ///< [classes, grid, grid, channels]
};

}  // namespace trireme::io
