// Makes a data set of a source: mixes each split once, cuts it into shards, and writes them, by one rank or
// by many to the same bytes.
//
//      source parts --(split, mixed by the seed)--> splits --(blocks, even pieces)--> shards
//
// Shards are cut at blocks, so that a split's sequence of blocks is the same whatever the number of files,
// and only its last block is short. Rank r of n writes shards r, r + n, ...; what all must know (sums,
// checksums, errors) goes through `all_gather`, so that this box knows no transport.
//
// Everything is written to `.OUT.importing` beside OUT, synced, and renamed when complete; whatever goes
// wrong before leaves no OUT, and the temporary folder is removed.
#pragma once

#include <functional>
#include <optional>

#include "io/data_set.hpp"
#include "io/import/source.hpp"
#include "runtime/core/virtual_shards.hpp"

namespace trireme::io {

/// How the source's parts become splits.
struct SplitPlan {
    bool given = true;  ///< the source's own parts
    /// Otherwise fractions by name that add up to 1, in the order they were written. The source's train and
    /// val parts are pooled and cut again; its test part stays test, unless the fractions name test: then it
    /// is pooled too.
    std::vector<std::pair<std::string, double>> fractions;
};

/// "given", or "train=0.9,val=0.1". Throws ConfigError naming what is wrong and how it is written.
[[nodiscard]] SplitPlan parse_split(const std::string& text);

struct ImportOptions {
    int shards = 0;  ///< 0: 8, or more so that a file has about 1 GiB
    SplitPlan split;
    std::uint64_t seed = 0;
    bool deflate = false;  ///< smaller files, more work for every read
    /// Every split that fractions make gets its share of each class, to one sample.
    bool stratified = false;
};

/// Those who import together. Every member calls import_data_set with the same source, folder and options.
struct ImportTeam {
    int rank = 0;
    int ranks = 1;
    /// Gives each member's text to all, in rank order; returns when all have called.
    std::function<std::vector<std::string>(std::string)> all_gather;
    int threads = 1;  ///< of this member, for decoding
    /// Hears now and then how many of this member's samples are done; may be empty.
    std::function<void(std::string_view phase, std::int64_t done, std::int64_t total)> progress = nullptr;

    /// A team of one.
    static ImportTeam alone();
};

/// One sample of the source.
struct SourceRef {
    std::uint32_t part = 0;
    std::int64_t index = 0;
    auto operator<=>(const SourceRef&) const = default;
};

/// One split: its samples in their mixed order, and which of them each shard gets.
struct SplitLayout {
    std::vector<SourceRef> order;
    std::vector<IndexRange> pieces;  ///< one a shard, contiguous
};

struct ImportPlan {
    int shards = 0;
    std::uint64_t seed = 0;
    bool deflate = false;
    std::map<std::string, SplitLayout> splits;  ///< "train", "val", "test"
};

/// `rows` cut into one contiguous piece a shard, almost even and at the borders of blocks of `block` rows.
[[nodiscard]] std::vector<IndexRange> block_pieces(std::int64_t rows, std::int64_t block, int shards);
/// The number of shards that was asked for, or for 0 what `bytes` of samples want. Throws ConfigError.
[[nodiscard]] int checked_shards(int asked, std::int64_t bytes);

/// What will be written: a pure function of the source's counts (and labels, where stratified) and the
/// options. Throws ConfigError.
[[nodiscard]] ImportPlan plan_import(const ImportSource& source, const ImportOptions& options);

/// Writes a plan to `out`, which must not exist. All members return the opened data set, or all throw.
DataSetInfo write_import(const ImportSource& source, const ImportPlan& plan, const std::filesystem::path& out,
                         const ImportTeam& team);

/// plan_import and write_import.
DataSetInfo import_data_set(const ImportSource& source, const std::filesystem::path& out,
                            const ImportOptions& options, const ImportTeam& team = ImportTeam::alone());

}  // namespace trireme::io
