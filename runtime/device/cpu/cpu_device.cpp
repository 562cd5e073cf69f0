#include "runtime/device/cpu/cpu_device.hpp"

#include <fstream>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"
#include "runtime/device/cpu/kernel_threads.hpp"

namespace trireme {

CpuDevice::CpuDevice(std::string kind, std::string instruction_set, int threads)
    : kind_(std::move(kind)), instruction_set_(std::move(instruction_set)), threads_(threads) {
    if (threads < 1) {
        throw ConfigError(fmt::format(
            "job.threads is {}, but a rank needs at least one kernel thread: give 1 or more, or auto",
            threads));
    }
    cpu::use_kernel_threads(threads);
}

std::string CpuDevice::describe() const {
    return fmt::format("{}, {}, {} thread{}", processor_name(), instruction_set_, threads_,
                       threads_ == 1 ? "" : "s");
}

std::string processor_name() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
        if (!line.starts_with("model name")) continue;
        const std::size_t colon = line.find(':');
        if (colon != std::string::npos) return std::string(trim(std::string_view(line).substr(colon + 1)));
    }
    return "unknown processor";
}

}  // namespace trireme
