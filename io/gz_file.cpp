#include "io/gz_file.hpp"

#include <cerrno>
#include <cstring>

#include <zlib.h>

#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::io {
namespace {

constexpr std::size_t largest_read = std::size_t{1} << 22;

}  // namespace

struct GzFile::Stream {
    gzFile file;
    explicit Stream(const std::filesystem::path& path) : file(gzopen(path.c_str(), "rb")) {}
    ~Stream() {
        if (file != nullptr) gzclose(file);
    }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
};

GzFile::GzFile(const std::filesystem::path& path) : path_(path), stream_(std::make_unique<Stream>(path)) {
    if (stream_->file != nullptr) return;
    throw DataError(
        fmt::format("{}: cannot be opened: {}: check the path", path.string(), std::strerror(errno)));
}

GzFile::~GzFile() = default;

std::size_t GzFile::read(std::span<std::byte> out) {
    std::size_t filled = 0;
    while (filled < out.size()) {
        const std::size_t step = std::min(largest_read, out.size() - filled);
        const int got = gzread(stream_->file, out.data() + filled, static_cast<unsigned>(step));
        int code = Z_OK;
        const char* why = gzerror(stream_->file, &code);
        if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) {
            throw DataError(fmt::format("{}: cannot be read: {}: the file is damaged; get it again",
                                        path_.string(), code == Z_ERRNO ? std::strerror(errno) : why));
        }
        filled += static_cast<std::size_t>(got);
        if (static_cast<std::size_t>(got) < step) break;
    }
    return filled;
}

std::string read_gz_file(const std::filesystem::path& path, std::int64_t limit) {
    GzFile file(path);
    std::string text;
    for (;;) {
        const std::size_t have = text.size();
        text.resize(have + largest_read);
        const std::size_t got = file.read(std::as_writable_bytes(std::span(text).subspan(have)));
        text.resize(have + got);
        if (static_cast<std::int64_t>(text.size()) > limit) {
            throw DataError(fmt::format("{}: holds more than {}, which is not read at once: cut it in pieces",
                                        path.string(), human_bytes(Bytes(limit))));
        }
        if (got < largest_read) return text;
    }
}

}  // namespace trireme::io
