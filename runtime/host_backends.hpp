// The back ends that every build has: the cores, by oneDNN, and the reference. The tables of
// available_backends.hpp share them.
#pragma once

#include <optional>
#include <string>

#include "runtime/available_backends.hpp"

namespace trireme {

/// The back end of `device_kind` cpu or reference; nothing for other words. Throws ConfigError for less than
/// one thread, and for numerics that the host's kernels have not.
[[nodiscard]] std::optional<Backend> make_host_backend(const std::string& device_kind, int threads,
                                                       const Numerics& numerics);

/// Why kernels of the host do not compute so; empty where they do.
[[nodiscard]] std::string refusal_of_host(const Numerics& numerics);

/// Throws ConfigError for a word that is no device kind, with the nearest one.
[[noreturn]] void refuse_device_kind(const std::string& device_kind);

/// Libraries behind the kernels of the cores, as backend_versions() has them.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> host_backend_versions();

}  // namespace trireme
