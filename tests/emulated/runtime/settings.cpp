#include "tests/emulated/runtime/settings.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include <cuda_runtime_api.h>
#include <fmt/format.h>

namespace trireme::emulated {
namespace {

std::optional<std::int64_t> number_of(std::string_view text) {
    std::int64_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
    return whole ? std::optional(value) : std::nullopt;
}

/// "GPU-1b2c..." as nvidia-smi writes it.
std::string uuid_text(int device) {
    std::string text = "GPU";
    const std::string bytes = uuid_of(device);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (i == 0 || i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        text += fmt::format("{:02x}", static_cast<unsigned char>(bytes[i]));
    }
    return text;
}

/// -1 where the entry names no device.
int device_of(std::string_view entry, int devices) {
    if (const auto index = number_of(entry)) {
        return *index >= 0 && *index < devices ? static_cast<int>(*index) : -1;
    }
    if (!entry.starts_with("GPU-")) return -1;
    for (int i = 0; i < devices; ++i) {
        if (uuid_text(i).starts_with(entry)) return i;
    }
    return -1;
}

}  // namespace

Settings Settings::of_environment() {
    Settings settings;
    const auto read = [&](const char* name, std::int64_t otherwise) {
        const char* text = std::getenv(name);
        if (text == nullptr) return otherwise;
        const std::optional<std::int64_t> value = number_of(text);
        if (!value || *value < 0) settings.wrong = name;
        return value.value_or(0);
    };
    settings.sm = static_cast<int>(read("TRIREME_EMULATED_SM", settings.sm));
    settings.memory = read("TRIREME_EMULATED_MEMORY_MB", settings.memory >> 20) << 20;
    settings.devices = static_cast<int>(read("TRIREME_EMULATED_DEVICES", settings.devices));
    settings.driver = static_cast<int>(read("TRIREME_EMULATED_DRIVER", CUDART_VERSION));
    settings.seed = static_cast<std::uint64_t>(read("TRIREME_EMULATED_SEED", 1));
    settings.deceived = read("TRIREME_EMULATED_DECEIVED", 0) != 0;
    if (const char* report = std::getenv("TRIREME_EMULATED_REPORT")) settings.report = report;
    return settings;
}

std::string uuid_of(int device) {
    std::string bytes = "emulated device.";
    bytes.back() = static_cast<char>(device);
    return bytes;
}

std::vector<int> visible_devices(int devices, const char* variable) {
    std::vector<int> visible;
    if (variable == nullptr) {
        for (int i = 0; i < devices; ++i) visible.push_back(i);
        return visible;
    }
    std::string_view rest = variable;
    while (!rest.empty()) {
        const std::size_t end = rest.find(',');
        const int device = device_of(rest.substr(0, end), devices);
        // CUDA shows no device at all where one is named twice.
        if (std::find(visible.begin(), visible.end(), device) != visible.end()) return {};
        if (device < 0) return visible;
        visible.push_back(device);
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    }
    return visible;
}

}  // namespace trireme::emulated
