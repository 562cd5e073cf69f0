// Tries out a folder: what file system is it, and does it keep what a run and its checkpoints rely on?
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "cluster/host_facts.hpp"

namespace trireme::cluster {
namespace {

namespace fs = std::filesystem;

struct FileSystemKind {
    std::uint32_t magic;
    std::string_view name;
    bool network;
};

/// Those of parallel and vendor file systems are not in the kernel's headers.
constexpr std::array<FileSystemKind, 20> kinds = {{
    {EXT4_SUPER_MAGIC, "ext4", false},
    {XFS_SUPER_MAGIC, "xfs", false},
    {BTRFS_SUPER_MAGIC, "btrfs", false},
    {F2FS_SUPER_MAGIC, "f2fs", false},
    {TMPFS_MAGIC, "tmpfs", false},
    {RAMFS_MAGIC, "ramfs", false},
    {OVERLAYFS_SUPER_MAGIC, "overlay", false},
    {0x2FC12FC1, "zfs", false},
    {FUSE_SUPER_MAGIC, "fuse", false},
    {NFS_SUPER_MAGIC, "nfs", true},
    {SMB2_SUPER_MAGIC, "smb2", true},
    {CIFS_SUPER_MAGIC, "cifs", true},
    {CEPH_SUPER_MAGIC, "ceph", true},
    {V9FS_MAGIC, "9p", true},
    {AFS_SUPER_MAGIC, "afs", true},
    {0x0BD00BD0, "lustre", true},
    {0x47504653, "gpfs", true},
    {0x19830326, "beegfs", true},
    {0xAAD7AAEA, "panfs", true},
    {0x61756673, "aufs", false},
}};

std::string last_error() { return std::strerror(errno); }

class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] bool valid() const { return fd_ >= 0; }

  private:
    int fd_;
};

void name_file_system(FolderFacts& facts) {
    struct statfs info {};
    if (statfs(facts.folder.c_str(), &info) != 0) {
        facts.write_error = "statfs: " + last_error();
        return;
    }
    const auto magic = static_cast<std::uint32_t>(info.f_type);
    facts.type = fmt::format("0x{:x}", magic);
    for (const auto& kind : kinds) {
        if (kind.magic != magic) continue;
        facts.type = kind.name;
        facts.network = kind.network;
    }
    facts.free = Bytes(static_cast<std::int64_t>(info.f_bavail) * static_cast<std::int64_t>(info.f_bsize));
}

/// Follows what a checkpoint does: write, fsync, rename, fsync of the folder. Stops at the first failure to
/// write, because the rest would only repeat it.
void try_out(FolderFacts& facts, const fs::path& file, const fs::path& renamed) {
    const Descriptor out(open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    constexpr std::string_view content = "trireme doctor\n";
    if (!out.valid() ||
        write(out.get(), content.data(), content.size()) != static_cast<ssize_t>(content.size())) {
        facts.write_error = last_error();
        return;
    }
    if (fsync(out.get()) != 0) facts.sync_error = last_error();
    // HDF5 takes this lock when it opens a file.
    if (flock(out.get(), LOCK_EX | LOCK_NB) != 0) facts.lock_error = last_error();
    if (std::rename(file.c_str(), renamed.c_str()) != 0) {
        facts.rename_error = last_error();
        return;
    }
    const Descriptor folder(open(facts.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid() || fsync(folder.get()) != 0) facts.sync_error = last_error();
}

}  // namespace

FolderFacts probe_folder(const fs::path& folder) {
    FolderFacts facts;
    std::error_code ignored;
    facts.folder = fs::absolute(folder, ignored);
    while (!fs::is_directory(facts.folder, ignored) && facts.folder.has_relative_path()) {
        facts.folder = facts.folder.parent_path();
    }
    name_file_system(facts);
    if (!facts.write_error.empty()) return facts;
    // The process number keeps ranks that look at one folder at the same time apart.
    const fs::path file = facts.folder / fmt::format(".trireme-doctor-{}.tmp", getpid());
    const fs::path renamed = facts.folder / fmt::format(".trireme-doctor-{}", getpid());
    try_out(facts, file, renamed);
    fs::remove(file, ignored);
    fs::remove(renamed, ignored);
    return facts;
}

}  // namespace trireme::cluster
