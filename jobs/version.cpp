#include "jobs/version.hpp"

#include "comm/communicator.hpp"
#include "io/library_versions.hpp"
#include "runtime/available_backends.hpp"

namespace trireme::jobs {

std::string version_text() { return TRIREME_VERSION; }

std::vector<std::pair<std::string, std::string>> versions() {
    std::vector<std::pair<std::string, std::string>> list{{"trireme", version_text()},
                                                          {"mpi", comm::mpi_library_version()}};
    for (auto& [name, version] : io::library_versions()) list.emplace_back(name, version);
    for (auto& [name, version] : backend_versions()) list.emplace_back(name, version);
    return list;
}

}  // namespace trireme::jobs
