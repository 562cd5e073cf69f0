#include "layers/init.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "runtime/core/error.hpp"
#include "runtime/core/philox.hpp"

namespace trireme::layers {
namespace {

/// Element i is a multiple of 2^-23 in [-1, 1), times the scale: one rounding, the same on every machine.
void fill_uniform(const RandomStream& stream, float scale, std::int64_t first, std::span<float> values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        const float unit = 2 * stream.uniform(static_cast<std::uint64_t>(first) + i) - 1;
        values[i] = scale * unit;
    }
}

/// Box and Muller, 1958: elements 2k and 2k + 1 are the two coordinates that block k of the stream gives.
void fill_normal(const RandomStream& stream, double deviation, std::int64_t first, std::span<float> values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::uint64_t index = static_cast<std::uint64_t>(first) + i;
        const auto words = stream.block(index / 2);
        const std::uint64_t high = static_cast<std::uint64_t>(words[0]) << 32 | words[1];
        const std::uint64_t low = static_cast<std::uint64_t>(words[2]) << 32 | words[3];
        const double radius_draw = static_cast<double>((high >> 11) + 1) * 0x1p-53;  // in (0, 1]
        const double angle = 2 * std::numbers::pi * static_cast<double>(low >> 11) * 0x1p-53;
        const double radius = std::sqrt(-2 * std::log(radius_draw));
        const double unit = radius * (index % 2 == 0 ? std::cos(angle) : std::sin(angle));
        values[i] = static_cast<float>(deviation * unit);
    }
}

}  // namespace

void initial_values(const ParamSpec& spec, std::uint64_t seed, std::int64_t first, std::span<float> values) {
    const std::int64_t elements = spec.shape.elements().value;
    ensure(first >= 0 && first <= elements && static_cast<std::int64_t>(values.size()) <= elements - first,
           "initial values of " + spec.name + " asked outside the parameter");
    const RandomStream stream(seed, "init/" + spec.name);
    switch (spec.init.kind) {
        case Init::Kind::zeros:
            std::fill(values.begin(), values.end(), 0.0f);
            return;
        case Init::Kind::ones:
            std::fill(values.begin(), values.end(), 1.0f);
            return;
        case Init::Kind::uniform:
            fill_uniform(stream, static_cast<float>(spec.init.scale), first, values);
            return;
        case Init::Kind::normal:
            fill_normal(stream, spec.init.scale, first, values);
            return;
    }
}

}  // namespace trireme::layers
