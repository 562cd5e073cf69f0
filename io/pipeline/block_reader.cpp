#include "io/pipeline/block_reader.hpp"

#include <zlib.h>

#include "io/targets.hpp"
#include "runtime/core/digest.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

/// Inflates a chunk and keeps its first `out.size()` bytes: a chunk is stored whole, its rows past the end of
/// the data as zeros that nobody wants.
bool inflate_prefix(std::span<const std::byte> packed, std::span<std::byte> out) {
    z_stream stream{};
    if (inflateInit(&stream) != Z_OK) return false;
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed.data()));
    stream.avail_in = static_cast<uInt>(packed.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    const int result = inflate(&stream, Z_SYNC_FLUSH);
    const bool whole =
        stream.avail_out == 0 && (result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR);
    inflateEnd(&stream);
    return whole;
}

/// The first stored token that is none of `tokens` different ones; -1 where all are.
template <class T>
std::int64_t first_outside(std::span<const std::byte> x, std::int64_t tokens) {
    const std::span stored(reinterpret_cast<const T*>(x.data()), x.size() / sizeof(T));
    const auto found = std::find_if(stored.begin(), stored.end(), [&](T token) { return token >= tokens; });
    return found == stored.end() ? -1 : found - stored.begin();
}

}  // namespace

BlockReader::BlockReader(const DataSetInfo& info, const std::string& split)
    : info_(info), name_(split), split_(info_.split(split)) {
    first_.reserve(split_.blocks.size());
    std::int64_t position = 0;
    for (const BlockRef& block : split_.blocks) {
        first_.push_back(position);
        position += block.samples;
    }
    for (int i = 0; i < info_.shards; ++i) shards_.push_back(std::make_unique<Shard>());
}

std::int64_t BlockReader::first_sample(std::int64_t block) const {
    return first_[static_cast<std::size_t>(block)];
}

std::int64_t BlockReader::scratch_bytes(std::int64_t largest) {
    return static_cast<std::int64_t>(compressBound(static_cast<uLong>(largest)));
}

const BlockReader::Shard& BlockReader::shard_of(const BlockRef& ref) {
    Shard& shard = *shards_[static_cast<std::size_t>(ref.shard)];
    if (shard.ready.load(std::memory_order_acquire)) return shard;
    const std::lock_guard lock(shard.opening);
    if (shard.ready.load(std::memory_order_relaxed)) return shard;
    const std::filesystem::path path = info_.shard_path(ref.shard);
    shard.blocks = read_block_index(path, name_, info_.fingerprint);
    shard.file = std::make_unique<PosixFile>(path, PosixFile::Mode::read);
    files_opened_.fetch_add(1, std::memory_order_relaxed);
    shard.ready.store(true, std::memory_order_release);
    return shard;
}

void BlockReader::read_part(const Shard& shard, const BlockRef& ref, std::span<std::byte> out,
                            std::span<std::byte> scratch, bool is_x) {
    const StoredBlock& stored = shard.blocks.at(static_cast<std::size_t>(ref.chunk));
    const std::string_view member = is_x ? "x" : "y";
    const std::int64_t offset = is_x ? stored.x_offset : stored.y_offset;
    const std::int64_t bytes = is_x ? stored.x_bytes : stored.y_bytes;
    const auto place = [&] {
        return fmt::format("{}: chunk {} of /{}/{}", shard.file->path().string(), ref.chunk, name_, member);
    };
    if (is_x ? stored.x_deflated : stored.y_deflated) {
        if (bytes > static_cast<std::int64_t>(scratch.size())) {
            throw DataError(
                fmt::format("{}: {} compressed bytes are more than such a block can have: the file is "
                            "damaged; import again",
                            place(), bytes));
        }
        const std::span<std::byte> packed = scratch.first(static_cast<std::size_t>(bytes));
        shard.file->read_at(packed, offset);
        if (!inflate_prefix(packed, out)) {
            throw DataError(
                fmt::format("{}: cannot be inflated: the file is damaged; import again", place()));
        }
        bytes_read_.fetch_add(bytes, std::memory_order_relaxed);
    } else {
        if (bytes < static_cast<std::int64_t>(out.size())) {
            throw DataError(
                fmt::format("{}: is stored in {} bytes where its rows have {}: the file is damaged; import "
                            "again",
                            place(), bytes, out.size()));
        }
        shard.file->read_at(out, offset);
        bytes_read_.fetch_add(static_cast<std::int64_t>(out.size()), std::memory_order_relaxed);
    }
    const std::uint64_t wanted = is_x ? stored.x_xxh3 : stored.y_xxh3;
    const std::uint64_t found = xxh3(out.data(), out.size());
    if (found != wanted) {
        throw DataError(fmt::format("{}: checksum {} stored, {} computed: the file is damaged; import again",
                                    place(), hex64(wanted), hex64(found)));
    }
}

void BlockReader::check_targets(const BlockRef& ref, std::span<const std::byte> y) const {
    const auto row_bytes = static_cast<std::size_t>(info_.target_bytes());
    for (std::size_t i = 0; i < y.size(); i += row_bytes) {
        const std::string wrong = wrong_target(info_, y.subspan(i, row_bytes));
        if (wrong.empty()) continue;
        throw DataError(fmt::format(
            "{}: row {} of /{}/y: {}: correct the source and import again",
            info_.shard_path(ref.shard).string(),
            ref.chunk * info_.block_samples() + static_cast<std::int64_t>(i / row_bytes), name_, wrong));
    }
}

void BlockReader::check_tokens(const BlockRef& ref, std::span<const std::byte> x) const {
    const std::int64_t wrong = info_.x_dtype == DType::u8 ? first_outside<std::uint8_t>(x, info_.classes)
                                                          : first_outside<std::uint16_t>(x, info_.classes);
    if (wrong < 0) return;
    throw DataError(fmt::format("{}: row {} of /{}/x: its token is outside 0 to {}: import again",
                                info_.shard_path(ref.shard).string(), ref.chunk * info_.block_tokens + wrong,
                                name_, info_.classes - 1));
}

void BlockReader::read(std::int64_t block, std::span<std::byte> x, std::span<std::byte> y,
                       std::span<std::byte> scratch) {
    const BlockRef& ref = split_.blocks.at(static_cast<std::size_t>(block));
    ensure(static_cast<std::int64_t>(x.size()) == info_.block_x_bytes(ref), "room for all rows of a block");
    read_part(shard_of(ref), ref, x, scratch, true);
    if (info_.is_stream()) {
        check_tokens(ref, x);
    } else {
        read_targets(block, y, scratch);
    }
    blocks_read_.fetch_add(1, std::memory_order_relaxed);
}

void BlockReader::read_targets(std::int64_t block, std::span<std::byte> y, std::span<std::byte> scratch) {
    const BlockRef& ref = split_.blocks.at(static_cast<std::size_t>(block));
    ensure(static_cast<std::int64_t>(y.size()) == ref.samples * info_.target_bytes(),
           "room for all targets of a block");
    read_part(shard_of(ref), ref, y, scratch, false);
    check_targets(ref, y);
}

void BlockReader::will_need(std::int64_t block) noexcept {
    const BlockRef& ref = split_.blocks[static_cast<std::size_t>(block)];
    const Shard& shard = *shards_[static_cast<std::size_t>(ref.shard)];
    // A file that is not open yet is left for the read: a hint is not worth an error.
    if (!shard.ready.load(std::memory_order_acquire)) return;
    const StoredBlock& stored = shard.blocks[static_cast<std::size_t>(ref.chunk)];
    shard.file->will_need(stored.x_offset, stored.x_bytes);
    if (stored.y_bytes > 0) shard.file->will_need(stored.y_offset, stored.y_bytes);
}

ReadCounters BlockReader::counters() const {
    return {blocks_read_.load(), bytes_read_.load(), files_opened_.load()};
}

}  // namespace trireme::io
