// Versions of the libraries behind this box, for `trireme version`, summaries and checkpoints.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace trireme::io {

[[nodiscard]] std::vector<std::pair<std::string, std::string>> library_versions();

}  // namespace trireme::io
