#include "io/import/synthetic_source.hpp"

#include "io/targets.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/philox.hpp"
#include "runtime/core/text.hpp"

namespace trireme::io {
namespace {

struct Kind {
    const char* name;
    std::int64_t extent;
    std::int64_t channels;
    std::int64_t classes;
    std::int64_t train;  ///< where no number is named
    std::int64_t train_per_test;
};
// ImageNet's own 1.3 million samples would be 200 GB; who wants them says so.
constexpr std::array kinds{Kind{"cifar10", 32, 3, 10, 50'000, 5}, Kind{"imagenet", 224, 3, 1000, 20'000, 25},
                           Kind{"mnist", 28, 1, 10, 60'000, 6}};
constexpr std::int64_t max_samples = std::int64_t{1} << 32;
constexpr std::int64_t largest_image = 4096;
constexpr std::int64_t grid = 6;
constexpr std::int64_t fraction = 256;  ///< steps between two points of the grid
constexpr std::int64_t noise_range = 96;
constexpr std::int64_t glow_range = 32;

const Kind& kind_of(const std::string& name, const std::string& text) {
    std::vector<std::string> names;
    for (const Kind& kind : kinds) {
        if (name == kind.name) return kind;
        names.emplace_back(kind.name);
    }
    throw ConfigError(fmt::format(
        "--source synthetic:{}: '{}' is not known{}; there are cifar10, imagenet and mnist, each also "
        "with a number of samples as in synthetic:cifar10:5000",
        text, name, did_you_mean(name, names)));
}

std::int64_t samples_of(const std::string& number, const std::string& text) {
    const auto samples = parse_integer(number);
    if (samples && *samples >= 1 && *samples <= max_samples) return *samples;
    throw ConfigError(fmt::format("--source synthetic:{}: '{}' is not a number of samples from 1 to {}", text,
                                  number, max_samples));
}

/// Random bytes of one sample, four to a word.
class Noise {
  public:
    explicit Noise(const RandomStream& stream) : stream_(stream) {}
    /// The next value, 0 to range - 1; range is 256 at most.
    std::int64_t below(std::int64_t range) {
        if (used_ == 16) {
            words_ = stream_.block(block_++);
            used_ = 0;
        }
        const std::uint32_t byte = words_[used_ / 4] >> 8 * (used_ % 4) & 0xffU;
        ++used_;
        return byte * range >> 8;
    }

  private:
    const RandomStream& stream_;
    std::array<std::uint32_t, 4> words_{};
    std::uint64_t block_ = 0;
    std::size_t used_ = 16;
};

/// Where a pixel lies on the grid, in fractions, and kept inside it.
std::int64_t on_grid(std::int64_t pixel, std::int64_t extent) {
    const std::int64_t last = (grid - 1) * fraction;
    return std::clamp<std::int64_t>(pixel * last / std::max<std::int64_t>(extent - 1, 1), 0, last - 1);
}

}  // namespace

SyntheticSource::SyntheticSource(const std::string& text, std::uint64_t seed, std::optional<ImageSize> size)
    : seed_(seed) {
    const std::vector<std::string> words = split(text, ':');
    const Kind& kind = kind_of(words.empty() ? "" : words[0], text);
    if (words.size() > 2) samples_of(text.substr(words[0].size() + 1), text);
    name_ = kind.name;
    train_ = words.size() > 1 ? samples_of(words[1], text) : kind.train;
    test_ = std::max<std::int64_t>(1, train_ / kind.train_per_test);
    classes_ = kind.classes;
    const ImageSize extents = size.value_or(ImageSize{kind.extent, kind.extent});
    if (extents.height > largest_image || extents.width > largest_image) {
        throw ConfigError(fmt::format("--size {}x{}: made-up images have at most {} pixels a side",
                                      extents.height, extents.width, largest_image));
    }
    shape_ = {extents.height, extents.width, kind.channels};
    patterns_.resize(static_cast<std::size_t>(classes_ * grid * grid * kind.channels));
    const RandomStream stream(seed, "synthetic/patterns/" + name_);
    for (std::size_t i = 0; i < patterns_.size(); ++i)
        patterns_[i] = static_cast<std::uint8_t>(stream.below(i, 256));
}

std::string SyntheticSource::description() const {
    return fmt::format("synthetic:{}:{} (made-up images, seed {})", name_, train_, seed_);
}

std::vector<SourcePart> SyntheticSource::parts() const { return {{"train", train_}, {"test", test_}}; }

std::int32_t SyntheticSource::label(std::size_t part, std::int64_t index) const {
    const RandomStream stream(seed_, part == 0 ? "synthetic/classes/train" : "synthetic/classes/test");
    return static_cast<std::int32_t>(
        stream.below(static_cast<std::uint64_t>(index), static_cast<std::uint64_t>(classes_)));
}

void SyntheticSource::read(std::size_t part, std::int64_t index, std::span<std::byte> x,
                           std::span<std::byte> target) const {
    const std::int32_t truth = label(part, index);
    store_class(truth, target);
    const RandomStream stream(seed_, part == 0 ? "synthetic/train" : "synthetic/test",
                              static_cast<std::uint64_t>(index));
    Noise noise(stream);
    const std::int64_t channels = shape_[2];
    const std::int64_t reach = std::max<std::int64_t>(1, std::min(shape_[0], shape_[1]) / 8);
    const std::int64_t down = noise.below(std::min<std::int64_t>(256, 2 * reach + 1)) - reach;
    const std::int64_t right = noise.below(std::min<std::int64_t>(256, 2 * reach + 1)) - reach;
    const std::int64_t glow = noise.below(glow_range) - glow_range / 2;
    const std::uint8_t* pattern = patterns_.data() + truth * grid * grid * channels;
    std::size_t at = 0;
    for (std::int64_t row = 0; row < shape_[0]; ++row) {
        const std::int64_t gy = on_grid(row + down, shape_[0]);
        const std::uint8_t* upper = pattern + gy / fraction * grid * channels;
        for (std::int64_t column = 0; column < shape_[1]; ++column) {
            const std::int64_t gx = on_grid(column + right, shape_[1]);
            const std::uint8_t* corner = upper + gx / fraction * channels;
            const std::int64_t fy = gy % fraction;
            const std::int64_t fx = gx % fraction;
            for (std::int64_t c = 0; c < channels; ++c, ++corner) {
                const std::int64_t top = corner[0] * (fraction - fx) + corner[channels] * fx;
                const std::int64_t low =
                    corner[grid * channels] * (fraction - fx) + corner[(grid + 1) * channels] * fx;
                const std::int64_t value = (top * (fraction - fy) + low * fy) / (fraction * fraction);
                const std::int64_t seen = value + glow + noise.below(noise_range) - noise_range / 2;
                x[at++] = static_cast<std::byte>(std::clamp<std::int64_t>(seen, 0, 255));
            }
        }
    }
}

}  // namespace trireme::io
