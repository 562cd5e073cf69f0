// The back ends of this build: which devices there are and which kernel providers stand behind each. CMake
// picks one of available_backends_{cpu,cuda}.cpp; nothing else in the source asks which build it is.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "layers/rewrite/rewrite.hpp"
#include "runtime/device/device.hpp"
#include "runtime/exec/step_kernels.hpp"
#include "runtime/kernels/kernel.hpp"
#include "runtime/kernels/rules/launch_limits.hpp"
#include "runtime/numerics.hpp"

namespace trireme {

/// A rank's device and the providers for its nodes, in the order in which they are asked; the last one is the
/// reference, which refuses nothing.
struct Backend {
    std::unique_ptr<Device> device;
    std::vector<std::unique_ptr<KernelProvider>> providers;
    MakeStepKernels step_kernels;     ///< empty: the host's
    bool fuses_feed_forward = false;  ///< the graph is to be rewritten by layers::fuse_feed_forward
    /// And by layers::fuse_conv_norms with what this gives; empty: not at all.
    std::function<layers::JoinsNorms(const LaunchLimits&)> joins_norms;
};

/// `device_kind` as job.device has it: auto, cpu, reference or cuda. `threads`: kernel threads of the rank.
/// Throws DeviceError for a device that this build or machine has not, ConfigError for a word that is none,
/// for less than one thread, or for numerics that the device has not.
[[nodiscard]] Backend make_backend(const std::string& device_kind, int threads,
                                   const Numerics& numerics = {});

/// Why bf16 would be slow here, for a warning; empty where the processor has instructions for it.
[[nodiscard]] std::string bf16_caveat(const Device& device);

/// Libraries behind the kernels as (name, version), for `trireme version`, summaries and checkpoints.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> backend_versions();

}  // namespace trireme
