#include "io/read_bench.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "io/pipeline/block_reader.hpp"
#include "io/pipeline/sample_order.hpp"
#include "io/posix_file.hpp"

namespace trireme::io {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t piece_bytes = 1 << 20;

std::vector<PosixFile> files_of(const DataSetInfo& info) {
    std::vector<PosixFile> files;
    for (int shard = 0; shard < info.shards; ++shard)
        files.emplace_back(info.shard_path(shard), PosixFile::Mode::read);
    return files;
}

double cached_share(const std::vector<PosixFile>& files) {
    double cached = 0;
    double all = 0;
    for (const PosixFile& file : files) {
        const auto size = static_cast<double>(file.size());
        cached += file.cached_share() * size;
        all += size;
    }
    return all > 0 ? cached / all : 0;
}

/// Calls work(worker) on so many threads; the first error of any of them is thrown here.
void on_threads(int workers, const std::function<void(int)>& work) {
    std::vector<std::exception_ptr> errors(static_cast<std::size_t>(workers));
    std::vector<std::thread> threads;
    for (int worker = 0; worker < workers; ++worker) {
        threads.emplace_back([&, worker] {
            try {
                work(worker);
            } catch (...) {
                errors[static_cast<std::size_t>(worker)] = std::current_exception();
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& error : errors) {
        if (error) std::rethrow_exception(error);
    }
}

std::int64_t begin_of_part(std::int64_t count, int parts, int part) { return count * part / parts; }

/// Some bytes of one file.
struct Piece {
    const PosixFile* file;
    std::int64_t offset;
    std::int64_t bytes;
};

std::vector<Piece> pieces_of(const std::vector<PosixFile>& files) {
    std::vector<Piece> pieces;
    for (const PosixFile& file : files) {
        const std::int64_t size = file.size();
        for (std::int64_t offset = 0; offset < size; offset += piece_bytes)
            pieces.push_back({&file, offset, std::min(piece_bytes, size - offset)});
    }
    return pieces;
}

/// What one worker reads into: a window of blocks, as a run of training has it.
class WindowReader {
  public:
    WindowReader(const DataSetInfo& info, BlockReader& reader, const EpochOrder& order)
        : info_(info),
          reader_(reader),
          order_(order),
          x_(static_cast<std::size_t>(info.block_x_bytes())),
          y_(static_cast<std::size_t>(info.block_y_bytes())),
          scratch_(static_cast<std::size_t>(BlockReader::scratch_bytes(info))) {}

    void read(std::int64_t first, std::int64_t end) {
        for (std::int64_t at = first; at < end; ++at) {
            if ((at - first) % window_blocks == 0) hint(at + window_blocks, end);
            const std::int64_t block = order_.block_at(at);
            const BlockRef& ref = reader_.blocks()[static_cast<std::size_t>(block)];
            const auto x_bytes = static_cast<std::size_t>(info_.block_x_bytes(ref));
            const auto y_bytes = static_cast<std::size_t>(ref.samples * info_.target_bytes());
            reader_.read(block, std::span(x_).first(x_bytes), std::span(y_).first(y_bytes), scratch_);
        }
    }

  private:
    void hint(std::int64_t first, std::int64_t end) {
        for (std::int64_t at = first; at < std::min(first + window_blocks, end); ++at)
            reader_.will_need(order_.block_at(at));
    }

    const DataSetInfo& info_;
    BlockReader& reader_;
    const EpochOrder& order_;
    std::vector<std::byte> x_;
    std::vector<std::byte> y_;
    std::vector<std::byte> scratch_;
};

}  // namespace

void forget_cached(const DataSetInfo& info) {
    for (const PosixFile& file : files_of(info)) {
        file.sync();
        file.forget_cached();
    }
}

ReadRate read_files(const DataSetInfo& info, int workers) {
    const std::vector<PosixFile> files = files_of(info);
    const std::vector<Piece> pieces = pieces_of(files);
    const auto count = static_cast<std::int64_t>(pieces.size());
    ReadRate rate;
    rate.cached_before = cached_share(files);
    for (const Piece& piece : pieces) rate.bytes += piece.bytes;
    const auto begin = Clock::now();
    on_threads(workers, [&](int worker) {
        std::vector<std::byte> room(static_cast<std::size_t>(piece_bytes));
        for (std::int64_t p = begin_of_part(count, workers, worker);
             p < begin_of_part(count, workers, worker + 1); ++p) {
            const Piece& piece = pieces[static_cast<std::size_t>(p)];
            piece.file->read_at(std::span(room).first(static_cast<std::size_t>(piece.bytes)), piece.offset);
        }
    });
    rate.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    return rate;
}

ReadRate read_blocks(const DataSetInfo& info, const std::string& split, int workers, std::uint64_t seed,
                     std::int64_t epoch) {
    BlockReader reader(info, split);
    EpochOrder order(reader.blocks());
    order.arrange(seed, epoch, Shuffle::global);
    ReadRate rate;
    rate.cached_before = cached_share(files_of(info));
    const auto begin = Clock::now();
    on_threads(workers, [&](int worker) {
        WindowReader(info, reader, order)
            .read(begin_of_part(order.blocks(), workers, worker),
                  begin_of_part(order.blocks(), workers, worker + 1));
    });
    rate.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    rate.bytes = reader.counters().bytes;
    return rate;
}

}  // namespace trireme::io
