#include "io/targets.hpp"

#include <cmath>
#include <cstring>

#include "runtime/core/error.hpp"

namespace trireme::io {

std::int32_t class_of(std::span<const std::byte> target) {
    std::int32_t label = 0;
    ensure(target.size() == sizeof label, "a class is stored as i32");
    std::memcpy(&label, target.data(), sizeof label);
    return label;
}

void store_class(std::int32_t label, std::span<std::byte> target) {
    ensure(target.size() == sizeof label, "a class is stored as i32");
    std::memcpy(target.data(), &label, sizeof label);
}

std::int32_t token_of(std::span<const std::byte> token) {
    std::int32_t value = 0;
    ensure(token.size() == 1 || token.size() == 2, "a token is stored as uint8 or uint16");
    std::memcpy(&value, token.data(), token.size());
    return value;
}

void decode_tokens(const std::byte* stored, DType dtype, std::int64_t count, std::int32_t* out) {
    if (dtype == DType::u8) {
        const auto* tokens = reinterpret_cast<const std::uint8_t*>(stored);
        std::copy(tokens, tokens + count, out);
        return;
    }
    for (std::int64_t i = 0; i < count; ++i) {  // a window may begin at an odd address of a file's bytes
        std::uint16_t token = 0;
        std::memcpy(&token, stored + i * std::int64_t{sizeof token}, sizeof token);
        out[i] = token;
    }
}

std::string wrong_target(const DataSetInfo& set, std::span<const std::byte> target) {
    if (set.has_classes()) {
        const std::int32_t label = class_of(target);
        if (label >= 0 && label < set.classes) return "";
        return fmt::format("label {} is outside 0 to {}", label, set.classes - 1);
    }
    if (set.target_kind == target_multi_hot) {
        for (std::size_t i = 0; i < target.size(); ++i) {
            const auto value = std::to_integer<unsigned>(target[i]);
            if (value > 1) return fmt::format("element {} of the target is {}, neither 0 nor 1", i, value);
        }
        return "";
    }
    for (std::size_t i = 0; i < target.size() / sizeof(float); ++i) {
        float value = 0;
        std::memcpy(&value, target.data() + i * sizeof value, sizeof value);
        if (!std::isfinite(value)) return fmt::format("element {} of the target is {}", i, value);
    }
    return "";
}

void decode_vector(const DataSetInfo& set, std::span<const std::byte> target, float* out) {
    if (set.target_dtype() == DType::f32) {
        std::memcpy(out, target.data(), target.size());
        return;
    }
    for (std::size_t i = 0; i < target.size(); ++i)
        out[i] = std::to_integer<unsigned>(target[i]) != 0 ? 1.f : 0.f;
}

}  // namespace trireme::io
