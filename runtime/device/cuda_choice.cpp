#include "runtime/device/cuda_choice.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runtime/core/text.hpp"

namespace trireme::cuda {
namespace {

/// How a job gets a GPU, by where it runs.
std::string how_to_get_one(const Surroundings& around) {
    if (around.in_slurm)
        return "ask Slurm for GPUs (--gpus-per-node=N --gpu-bind=none: ranks that see each other's GPUs can "
               "map their memory)";
    return "run on a host with a GPU (a container is given its GPUs when it starts, such as by --gpus all)";
}

constexpr std::string_view or_cpu = ", or set job.device to cpu";

std::string no_gpu_text(const Surroundings& around) {
    std::string text = "job.device is cuda, and the NVIDIA driver is there but shows this process no GPU";
    if (around.visible_devices) {
        return text +
               fmt::format(
                   ": CUDA_VISIBLE_DEVICES is '{}'; unset it, or name GPUs that the host has "
                   "(nvidia-smi -L lists them)",
                   *around.visible_devices) +
               std::string(or_cpu);
    }
    return text + ": " + how_to_get_one(around) + std::string(or_cpu);
}

std::string no_driver_text(const DriverAnswer& answer, const Surroundings& around) {
    std::string text = "job.device is cuda, and this host has no NVIDIA driver (libcuda.so.1)";
    if (around.device_files)
        text += "; GPU device files are there, so it is the driver's library that this process does not see";
    if (!answer.words.empty()) text += fmt::format("; CUDA says: {}", answer.words);
    return text + ": " + how_to_get_one(around) + std::string(or_cpu);
}

}  // namespace

std::string cuda_version_text(int version) {
    return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::string cudnn_version_text(std::int64_t version) {
    // Until version 8 the number was 1000 * major; since 9 it is 10000 * major.
    const std::int64_t major = version < 90000 ? version / 1000 : version / 10000;
    const std::int64_t rest = version - major * (version < 90000 ? 1000 : 10000);
    return fmt::format("{}.{}.{}", major, rest / 100, rest % 100);
}

std::string refusal_of_driver(const DriverAnswer& answer, const Surroundings& around) {
    switch (answer.state) {
        case DriverAnswer::State::ready:
            return {};
        case DriverAnswer::State::no_driver:
            return no_driver_text(answer, around);
        case DriverAnswer::State::too_old:
            return fmt::format(
                "job.device is cuda, and the NVIDIA driver runs CUDA up to {}, but this build needs {}: "
                "update the driver, or build Trireme with a toolkit of CUDA {} or older (TRIREME_CUDA_ROOT, "
                "TRIREME_CUDNN_ROOT)",
                cuda_version_text(answer.driver), cuda_version_text(answer.runtime),
                cuda_version_text(answer.driver));
        case DriverAnswer::State::no_gpu:
            return no_gpu_text(around);
        case DriverAnswer::State::failed:
            break;
    }
    return fmt::format(
        "job.device is cuda, and CUDA does not start: {} (the driver runs CUDA {}, this build needs {}); "
        "nvidia-smi shows the driver's own view",
        answer.words, cuda_version_text(answer.driver), cuda_version_text(answer.runtime));
}

std::string refusal_of_gpu(std::string_view name, int sm) {
    if (sm >= oldest_sm) return {};
    return fmt::format(
        "the GPU {} is sm_{}, and the kernels are compiled for sm_{} (A100) and newer: use another GPU, or "
        "set "
        "job.device to cpu",
        name, sm, oldest_sm);
}

std::string refusal_of_cudnn(std::int64_t version, std::string_view path) {
    if (version >= oldest_cudnn) return {};
    return fmt::format(
        "cuDNN {} of {} is too old: {} or newer is needed, because older ones compute wrong gradients of "
        "attention; put the folder of a newer libcudnn.so.9 into TRIREME_CUDA_LIBRARIES",
        cudnn_version_text(version), path, cudnn_version_text(oldest_cudnn));
}

int gpu_of(int visible, int local_rank) { return local_rank % visible; }

std::string out_of_memory(std::string_view gpu, Bytes wanted, Bytes free, Bytes total, Bytes planned) {
    std::string text = fmt::format("{} has no {} to give: {} of its {} are free", gpu, human_bytes(wanted),
                                   human_bytes(free), human_bytes(total));
    if (planned.value > 0)
        text += fmt::format("; the plan needs {} of it for this rank", human_bytes(planned));
    // What CUDA takes itself (context, kernels, handles of cuDNN and cuBLASLt) is in nobody's plan.
    constexpr Bytes own(std::int64_t{1} << 30);
    if (planned.value > 0 && planned + own <= total)
        return text + ". The plan fits the GPU, so something else holds its memory (nvidia-smi shows what)";
    if (planned.value > 0 && planned <= total)
        text += fmt::format(", and CUDA itself up to {}, so that even an empty GPU may be too small",
                            human_bytes(own));
    return text +
           ". Lower data.batch, raise parallel.microbatches, or use more GPUs (trireme inspect --what "
           "memory shows the parts)";
}

std::vector<std::string> library_candidates(std::string_view soname, const LibraryHints& hints) {
    std::vector<std::string> names;
    const auto add = [&](std::string_view folder) {
        if (!folder.empty()) names.push_back(fmt::format("{}/{}", folder, soname));
    };
    if (hints.trireme_cuda_libraries) {
        std::string_view rest = *hints.trireme_cuda_libraries;
        while (!rest.empty()) {
            const std::size_t end = rest.find(':');
            add(rest.substr(0, end));
            rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
        }
    }
    names.emplace_back(soname);
    for (const auto& home :
         {hints.cuda_home, hints.cuda_path, std::optional<std::string>("/usr/local/cuda")}) {
        if (!home || home->empty()) continue;
        add(*home + "/lib64");
        add(*home + "/lib");
    }
    return names;
}

std::string missing_library(std::string_view what, std::string_view soname,
                            std::span<const std::string> tried) {
    return fmt::format(
        "{} was not found: no {} opens. Put the folder that holds it into TRIREME_CUDA_LIBRARIES (folders "
        "with colons between them) or LD_LIBRARY_PATH. Tried:\n  {}",
        what, soname, fmt::join(tried, "\n  "));
}

}  // namespace trireme::cuda
