// Where the processes of a peer meet: a folder of their own that rank 0 makes and, at the end, removes with
// all that is in it.
#pragma once

#include <filesystem>

#include "comm/communicator.hpp"

namespace trireme::jobs {

class MeetingFolder {
  public:
    /// All ranks call it; rank 0 makes the folder, below TMPDIR, under a name that nobody has. Throws
    /// ConfigError where it cannot be made, or where ranks are on several hosts and so cannot all reach it.
    MeetingFolder(comm::Communicator& comm, const Deadline& deadline);
    /// On rank 0: removes it. Whoever meets in it must be gone, on all ranks.
    ~MeetingFolder();
    MeetingFolder(const MeetingFolder&) = delete;
    MeetingFolder& operator=(const MeetingFolder&) = delete;

    /// The same on all ranks; nothing is there yet.
    [[nodiscard]] std::filesystem::path file() const { return folder_ / "store"; }

  private:
    bool mine_;
    std::filesystem::path folder_;
};

}  // namespace trireme::jobs
