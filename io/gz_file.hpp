// A file that may be gzipped: plain ones are read as they are.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace trireme::io {

class GzFile {
  public:
    /// Throws DataError where the file cannot be opened.
    explicit GzFile(const std::filesystem::path& path);
    ~GzFile();
    GzFile(const GzFile&) = delete;
    GzFile& operator=(const GzFile&) = delete;

    /// Fills `out`, or as much of it as is left; returns how much. Throws DataError where the file is
    /// damaged.
    std::size_t read(std::span<std::byte> out);

  private:
    struct Stream;
    std::filesystem::path path_;
    std::unique_ptr<Stream> stream_;
};

/// The whole file; one that holds more than `limit` bytes is a DataError.
[[nodiscard]] std::string read_gz_file(const std::filesystem::path& path, std::int64_t limit);

}  // namespace trireme::io
