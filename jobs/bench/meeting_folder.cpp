#include "jobs/bench/meeting_folder.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::jobs {
namespace {

namespace fs = std::filesystem;

fs::path make_folder() {
    std::string name = (fs::temp_directory_path() / "trireme-peer-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
        throw ConfigError(
            fmt::format("{}: no folder in which the peer's processes meet: {} (TMPDIR names "
                        "another place)",
                        name, std::strerror(errno)));
    return name;
}

void remove_folder(const fs::path& folder) {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
}

}  // namespace

MeetingFolder::MeetingFolder(comm::Communicator& comm, const Deadline& deadline) : mine_(comm.rank() == 0) {
    if (mine_) folder_ = make_folder();
    try {
        const auto all =
            comm.all_gather(comm.host() + '\n' + folder_.string(), "peer's meeting place", deadline);
        const std::vector<std::string> first = split(all.front(), '\n');
        for (const std::string& text : all) {
            if (split(text, '\n').front() != first.front())
                throw ConfigError(
                    "command line: --peer: its processes meet in a file: keep all ranks on one host");
        }
        folder_ = first.back();
    } catch (...) {
        // What throws in its constructor has no destructor.
        if (mine_) remove_folder(folder_);
        throw;
    }
}

MeetingFolder::~MeetingFolder() {
    if (mine_) remove_folder(folder_);
}

}  // namespace trireme::jobs
