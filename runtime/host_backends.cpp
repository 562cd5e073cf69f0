#include "runtime/host_backends.hpp"

#include <array>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"
#include "runtime/device/cpu/cpu_device.hpp"
#include "runtime/kernels/onednn/onednn_provider.hpp"
#include "runtime/kernels/reference/reference_provider.hpp"

namespace trireme {
namespace {

Backend cpu_backend(int threads) {
    Backend backend;
    backend.device = std::make_unique<CpuDevice>("cpu", onednn::instruction_set(), threads);
    backend.providers.push_back(std::make_unique<OnednnProvider>());
    backend.providers.push_back(std::make_unique<ReferenceProvider>());
    return backend;
}

Backend reference_backend(int threads) {
    Backend backend;
    backend.device = std::make_unique<CpuDevice>("reference", "plain loops in fp64", threads);
    backend.providers.push_back(std::make_unique<ReferenceProvider>());
    return backend;
}

}  // namespace

std::optional<Backend> make_host_backend(const std::string& device_kind, int threads,
                                         const Numerics& numerics) {
    if (device_kind != "cpu" && device_kind != "reference") return std::nullopt;
    if (const std::string refusal = refusal_of_host(numerics); !refusal.empty())
        throw ConfigError("precision.compute: " + refusal);
    return device_kind == "cpu" ? cpu_backend(threads) : reference_backend(threads);
}

std::string refusal_of_host(const Numerics& numerics) {
    if (!numerics.tf32 && numerics.storage != DType::f16) return {};
    return "CPU kernels compute in fp32 or bf16: tf32 and fp16 are formats of graphics processors "
           "(job.device = cuda)";
}

void refuse_device_kind(const std::string& device_kind) {
    const std::array<std::string, 4> kinds{"auto", "cpu", "cuda", "reference"};
    throw ConfigError(fmt::format("job.device is '{}'{}; it can be auto, cpu, cuda or reference", device_kind,
                                  did_you_mean(device_kind, kinds)));
}

std::string bf16_caveat(const Device& device) {
    const std::string set = onednn::instruction_set();
    if (device.kind() != "cpu" || set.find("bf16") != std::string::npos ||
        set.find("amx") != std::string::npos || set.find("fp16") != std::string::npos) {
        return {};
    }
    return fmt::format(
        "precision.compute = bf16: this processor ({}) has no bf16 instructions, so kernels convert to fp32 "
        "and back; fp32 is faster here, bf16 only smaller",
        set);
}

std::vector<std::pair<std::string, std::string>> host_backend_versions() {
    return {{"onednn", onednn::version()}, {"instruction_set", onednn::instruction_set()}};
}

}  // namespace trireme
