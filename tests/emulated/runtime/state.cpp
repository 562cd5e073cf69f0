#include "tests/emulated/runtime/state.hpp"

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include <fmt/format.h>

namespace trireme::emulated {
namespace {

/// The most memory that was in use at once: what a plan can be compared with.
void write_report(const Process& all) {
    std::int64_t peak = 0;
    for (int device = 0; device < all.devices(); ++device) peak = std::max(peak, all.memory.peak(device));
    std::ofstream(all.settings.report) << fmt::format("{{\"peak_device_bytes\": {}}}\n", peak);
}

/// What runs when the program ends might touch what has gone.
void end_of_process() {
    Lock lock(process().mutex);
    process().scheduler.stop(lock);
    if (!process().settings.report.empty()) write_report(process());
}

}  // namespace

Process::Process()
    : settings(Settings::of_environment()),
      visible(visible_devices(settings.devices, std::getenv("CUDA_VISIBLE_DEVICES"))),
      memory(devices(), settings.memory, settings.deceived),
      scheduler(settings.seed),
      legacy(visible.size()) {
    for (CUstream_st& stream : legacy) {
        stream.number = numbers++;
        stream.legacy = true;
        stream.device = static_cast<int>(&stream - legacy.data());
    }
}

cudaError_t Process::start() const {
    if (settings.wrong) return cudaErrorInitializationError;
    // Within a major version an older driver runs newer programs; without any CUDA says the same.
    if (settings.driver / 1000 < CUDART_VERSION / 1000) return cudaErrorInsufficientDriver;
    return visible.empty() ? cudaErrorNoDevice : cudaSuccess;
}

Process& process() {
    static Process& all = [&]() -> Process& {
        auto* made = new Process;
        return *made;
    }();
    static const int registered = std::atexit(end_of_process);
    static_cast<void>(registered);
    return all;
}

Retention::~Retention() { release_user_object(*object, references); }

void release_user_object(UserObject& object, std::int64_t count) {
    object.references -= count;
    if (object.references > 0) return;
    Process& all = process();
    const auto run = [destroy = object.destroy, payload = object.payload] { destroy(payload); };
    static_cast<void>(all.scheduler.add(all.mutex, 0, {}, run));
}

}  // namespace trireme::emulated
