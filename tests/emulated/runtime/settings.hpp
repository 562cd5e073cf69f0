// What the emulated GPU is, by environment. Read once, at the first call of CUDA.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme::emulated {

struct Settings {
    int sm = 90;                                  ///< TRIREME_EMULATED_SM
    std::int64_t memory = std::int64_t{4} << 30;  ///< TRIREME_EMULATED_MEMORY_MB, in bytes, of each device
    int devices = 1;                              ///< TRIREME_EMULATED_DEVICES
    int driver = 0;                               ///< TRIREME_EMULATED_DRIVER; 0: there is no driver
    std::uint64_t seed = 1;                       ///< TRIREME_EMULATED_SEED; 0: in the order of launches
    bool deceived = false;                        ///< TRIREME_EMULATED_DECEIVED: peers' memory reads as zeros
    std::string report{};                         ///< TRIREME_EMULATED_REPORT: a file, written at the end
    std::optional<std::string> wrong{};           ///< a variable that holds no number

    static Settings of_environment();
};

/// 16 bytes that are the same in every process: ranks that share an emulated device see that they do.
[[nodiscard]] std::string uuid_of(int device);

/// The devices that CUDA_VISIBLE_DEVICES leaves of `devices`, in its order: up to the first entry that names
/// none, as CUDA does. Entries are indices or beginnings of a UUID, as "GPU-656d". Null: all of them.
[[nodiscard]] std::vector<int> visible_devices(int devices, const char* variable);

}  // namespace trireme::emulated
