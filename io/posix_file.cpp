#include "io/posix_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

std::string remedy(int error) {
    switch (error) {
        case ENOENT:
            return ": check the path";
        case EACCES:
        case EPERM:
            return ": check the permissions";
        case ENOSPC:
        case EDQUOT:
            return ": free some space, or choose another place";
        case EFBIG:
            return ": raise the file size limit (ulimit -f), or use more and smaller files";
        case EMFILE:
        case ENFILE:
            return ": raise the limit of open files (ulimit -n), or use fewer and larger files";
        default:
            return "";
    }
}

[[noreturn]] void fail(const std::filesystem::path& path, std::string_view doing) {
    const int error = errno;
    throw DataError(
        fmt::format("{}: cannot {}: {}{}", path.string(), doing, std::strerror(error), remedy(error)));
}

int open_descriptor(const std::filesystem::path& path, PosixFile::Mode mode) {
    const int flags = mode == PosixFile::Mode::read    ? O_RDONLY
                      : mode == PosixFile::Mode::write ? O_RDWR
                                                       : O_RDWR | O_CREAT | O_TRUNC;
    const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
    if (descriptor < 0) fail(path, mode == PosixFile::Mode::create ? "create the file" : "open the file");
    return descriptor;
}

}  // namespace

PosixFile::PosixFile(const std::filesystem::path& path, Mode mode)
    : path_(path), descriptor_(open_descriptor(path, mode)) {}

PosixFile::~PosixFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

PosixFile::PosixFile(PosixFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

std::int64_t PosixFile::size() const {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) fail(path_, "ask for the size");
    return status.st_size;
}

void PosixFile::read_at(std::span<std::byte> out, std::int64_t offset) const {
    std::size_t done = 0;
    while (done < out.size()) {
        const ssize_t got =
            ::pread(descriptor_, out.data() + done, out.size() - done, offset + static_cast<off_t>(done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail(path_, fmt::format("read {} bytes at {}", out.size(), offset));
        if (got == 0) {
            throw DataError(
                fmt::format("{}: ends at byte {}, but bytes {} to {} are wanted: the file is cut "
                            "short; copy or import it again",
                            path_.string(), offset + static_cast<std::int64_t>(done), offset,
                            offset + static_cast<std::int64_t>(out.size())));
        }
        done += static_cast<std::size_t>(got);
    }
}

void PosixFile::write_at(std::span<const std::byte> bytes, std::int64_t offset) const {
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t put = ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done,
                                     offset + static_cast<off_t>(done));
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) fail(path_, fmt::format("write {} bytes at {}", bytes.size(), offset));
        done += static_cast<std::size_t>(put);
    }
}

void PosixFile::will_need(std::int64_t offset, std::int64_t bytes) const noexcept {
    ::posix_fadvise(descriptor_, offset, bytes, POSIX_FADV_WILLNEED);
}

void PosixFile::forget_cached() const noexcept { ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED); }

double PosixFile::cached_share() const {
    const auto bytes = static_cast<std::size_t>(size());
    if (bytes == 0) return 0;
    void* place = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, descriptor_, 0);
    if (place == MAP_FAILED) fail(path_, "ask what is in memory");
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    std::vector<unsigned char> held((bytes + page - 1) / page);
    const int result = ::mincore(place, bytes, held.data());
    ::munmap(place, bytes);
    if (result != 0) fail(path_, "ask what is in memory");
    const auto count = std::ranges::count_if(held, [](unsigned char h) { return (h & 1U) != 0; });
    return static_cast<double>(count) / static_cast<double>(held.size());
}

void PosixFile::sync() const {
    if (::fsync(descriptor_) != 0) fail(path_, "sync the file to the medium");
}

void sync_folder(const std::filesystem::path& folder) {
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) fail(folder, "open the folder");
    const int result = ::fsync(descriptor);
    const int error = errno;
    ::close(descriptor);
    // Some network file systems have no sync of folders and say EINVAL; their renames are durable themselves.
    errno = error;
    if (result != 0 && error != EINVAL) fail(folder, "sync the folder to the medium");
}

void write_text_file(const std::filesystem::path& path, std::string_view text) {
    const std::filesystem::path temporary = path.string() + ".tmp";
    {
        const PosixFile file(temporary, PosixFile::Mode::create);
        file.write_at(std::as_bytes(std::span(text)), 0);
        file.sync();
    }
    if (std::rename(temporary.c_str(), path.c_str()) != 0) fail(path, "give the written file its name");
}

std::string read_text_file(const std::filesystem::path& path, std::int64_t limit) {
    const PosixFile file(path, PosixFile::Mode::read);
    const std::int64_t size = file.size();
    if (size > limit) {
        throw DataError(
            fmt::format("{}: has {} bytes, more than the {} that such a file may have: it is not "
                        "what it should be",
                        path.string(), size, limit));
    }
    std::string text(static_cast<std::size_t>(size), '\0');
    file.read_at(std::as_writable_bytes(std::span(text)), 0);
    return text;
}

}  // namespace trireme::io
