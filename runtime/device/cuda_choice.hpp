// Decisions about GPUs that need none: which one a rank takes, whether what the driver and the libraries say
// of themselves is good enough, where libraries are looked for, and what users are told when something is
// missing. Pure functions of facts that runtime/device/cuda gathers, so that every build tests them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/strong.hpp"

namespace trireme::cuda {

/// The oldest cuDNN that is used, as CUDNN_VERSION has it: before 9.13 the gradients of attention are wrong.
inline constexpr std::int64_t oldest_cudnn = 91300;
/// The oldest GPUs that the kernels are compiled for: sm_80 (A100).
inline constexpr int oldest_sm = 80;

/// What the driver answered when it was asked for its GPUs.
struct DriverAnswer {
    enum class State {
        ready,      ///< it lists at least one GPU
        no_driver,  ///< no libcuda.so.1 that works
        too_old,    ///< the driver is there, for an older CUDA than this build's
        no_gpu,     ///< the driver is there and lists none
        failed      ///< anything else; `words` says what
    };
    State state = State::no_driver;
    int driver = 0;   ///< the newest CUDA that the driver runs, as 12040 for 12.4; 0: not known
    int runtime = 0;  ///< the CUDA that this build runs
    int visible = 0;  ///< GPUs that this process may use
    std::string words;
};

/// What the process finds around it, to explain a driver's answer.
struct Surroundings {
    std::optional<std::string> visible_devices{};  ///< CUDA_VISIBLE_DEVICES
    bool device_files = false;                     ///< /dev/nvidia0 or another of them is there
    bool in_slurm = false;                         ///< SLURM_JOB_ID is set
};

/// Why no GPU can be used, and what to do about it; empty when one can.
[[nodiscard]] std::string refusal_of_driver(const DriverAnswer& answer, const Surroundings& around);
/// The same of a GPU whose compute capability is `sm` (90 for 9.0).
[[nodiscard]] std::string refusal_of_gpu(std::string_view name, int sm);
/// The same of a cuDNN, by the number that cudnnGetVersion gives; `path` is where it was found.
[[nodiscard]] std::string refusal_of_cudnn(std::int64_t version, std::string_view path);

/// Which of the visible GPUs a rank takes: one each where there are enough, in turns where there are not. A
/// launcher that shows every rank its own GPU alone makes it the only visible one.
[[nodiscard]] int gpu_of(int visible, int local_rank);

/// What is said when an allocation fails. `free` and `total` of the GPU; `planned`: what the plan says that
/// the rank needs of it, 0 when it is not known.
[[nodiscard]] std::string out_of_memory(std::string_view gpu, Bytes wanted, Bytes free, Bytes total,
                                        Bytes planned);

/// Environment that says where libraries are; nothing where a variable is not set.
struct LibraryHints {
    std::optional<std::string> trireme_cuda_libraries{};  ///< folders, with colons between them
    std::optional<std::string> cuda_home{};
    std::optional<std::string> cuda_path{};
};
/// The names to open one after another until one opens: files in the folders of TRIREME_CUDA_LIBRARIES, the
/// bare name (which the loader looks for in the program's RUNPATH, LD_LIBRARY_PATH and its cache), then the
/// usual places of a toolkit.
[[nodiscard]] std::vector<std::string> library_candidates(std::string_view soname, const LibraryHints& hints);
/// What is said when none opens. `what` is the library's own name, such as "cuDNN".
[[nodiscard]] std::string missing_library(std::string_view what, std::string_view soname,
                                          std::span<const std::string> tried);

/// "13.0" of 13000, as CUDA numbers its versions.
[[nodiscard]] std::string cuda_version_text(int version);
/// "9.19.0" of 91900, as cuDNN numbers its versions.
[[nodiscard]] std::string cudnn_version_text(std::int64_t version);

}  // namespace trireme::cuda
