// Plain files by descriptor: positioned reads and writes that are complete or throw, and what makes them
// durable. Reads and writes at offsets are thread-safe; errors are DataErrors that name the file, the bytes
// and the remedy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace trireme::io {

/// Owns a file descriptor. Move-only.
class PosixFile {
  public:
    enum class Mode { read, write, create };

    PosixFile(const std::filesystem::path& path, Mode mode);
    ~PosixFile();
    PosixFile(PosixFile&& other) noexcept;
    PosixFile(const PosixFile&) = delete;
    PosixFile& operator=(const PosixFile&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    [[nodiscard]] std::int64_t size() const;
    /// Fills `out` from `offset`; a file that ends before is a DataError.
    void read_at(std::span<std::byte> out, std::int64_t offset) const;
    void write_at(std::span<const std::byte> bytes, std::int64_t offset) const;
    /// Tells the system that this range is read soon. A hint: errors are ignored.
    void will_need(std::int64_t offset, std::int64_t bytes) const noexcept;
    /// Tells the system that this file is not read again soon: what it holds of it in memory it forgets. A
    /// hint, for measurements of the medium.
    void forget_cached() const noexcept;
    /// Share of the file's pages that the system holds in memory.
    [[nodiscard]] double cached_share() const;
    /// Waits until the bytes are on the medium.
    void sync() const;

  private:
    std::filesystem::path path_;
    int descriptor_;
};

/// Makes the entries of a folder (new names, renames) durable.
void sync_folder(const std::filesystem::path& folder);
/// Writes a small text file and syncs it. It appears under its name (or takes the place of the old one) only
/// when it is complete, so that a process which is killed leaves no half of one; `sync_folder` makes the name
/// durable.
void write_text_file(const std::filesystem::path& path, std::string_view text);
/// The whole of a text file; one above `limit` bytes is a DataError, so that no file decides how much we
/// allocate.
[[nodiscard]] std::string read_text_file(const std::filesystem::path& path, std::int64_t limit);

}  // namespace trireme::io
