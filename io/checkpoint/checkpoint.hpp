// Checkpoints: named global tensors with slices, never layout-bound blobs. Written to `<dir>/.tmp-step-N`,
// fsynced, renamed to `<dir>/step-N`, marked DONE last. docs/checkpoint-format.md describes the files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/dtype.hpp"
#include "runtime/core/shape.hpp"
#include "runtime/core/virtual_shards.hpp"

namespace trireme::io {

/// A piece of a named global tensor: a box (offset, extent) of it, and inside the box a range of the
/// row-major flat index, so that slices of a sharded optimizer fit too.
struct SliceSpec {
    std::string name;  ///< "params/conv1.weight", "optimizer/momentum/conv1.weight", "buffers/..."
    Shape global_shape;
    DType dtype = DType::f32;
    std::vector<std::int64_t> box_offset;
    std::vector<std::int64_t> box_extent;
    IndexRange flat;
    int replica = 0;  ///< only replica 0 is written

    /// The whole tensor.
    static SliceSpec whole(std::string name, Shape shape, DType dtype);
};

struct SavedSlice {
    SliceSpec spec;
    std::span<const std::byte> data;
};

/// Text attributes of a checkpoint: step, cursor, versions, hashes, layout (key -> JSON text).
using CheckpointMeta = std::map<std::string, std::string>;

/// Phase 1 of a save, each rank: its file in the temporary folder, written and fsynced.
void write_part(const std::filesystem::path& dir, std::int64_t step, int rank,
                std::span<const SavedSlice> slices);
/// Phase 2, one rank, after all have finished phase 1: index with checksums, fsync, rename, DONE. Returns the
/// folder.
std::filesystem::path commit(const std::filesystem::path& dir, std::int64_t step, int ranks,
                             const CheckpointMeta& meta);

class CheckpointReader {
  public:
    /// Opens a folder that is DONE; throws DataError that says what is wrong and which other checkpoint is
    /// good.
    explicit CheckpointReader(const std::filesystem::path& folder);
    ~CheckpointReader();
    CheckpointReader(CheckpointReader&&) noexcept;
    CheckpointReader& operator=(CheckpointReader&&) noexcept;

    [[nodiscard]] std::int64_t step() const;
    [[nodiscard]] const CheckpointMeta& meta() const;
    [[nodiscard]] const std::vector<SliceSpec>& slices() const;
    /// Fills `out` with the wanted slice from whatever slices were saved; verifies the checksum of each slice
    /// it touches. Thread-safe.
    void read(const SliceSpec& wanted, std::span<std::byte> out) const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Folders `step-N` of `dir` that are DONE, newest first.
[[nodiscard]] std::vector<std::filesystem::path> completed_checkpoints(const std::filesystem::path& dir);

}  // namespace trireme::io
