// The version of this build, and of the libraries that it runs on.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace trireme::jobs {

/// "0.1.0"
[[nodiscard]] std::string version_text();
/// Name and version of everything that results can depend on.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> versions();

}  // namespace trireme::jobs
