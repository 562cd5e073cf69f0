// How a data set comes to be on disk, whatever its samples are: in a temporary folder beside its place, shard
// by shard by one member or many, sealed when all is known, and renamed when all is there.
#pragma once

#include <functional>
#include <optional>

#include "io/import/channel_sums.hpp"
#include "io/import/import.hpp"
#include "io/shard_format.hpp"

namespace trireme::io {

/// What a member learned of one shard while it wrote it.
struct WrittenShard {
    std::optional<ChannelSums> channels;  ///< of the train split, where samples have channels
    ShardSums sums;
};

/// Writes shard `shard` to `path`.
using WriteShard = std::function<WrittenShard(const std::filesystem::path& path, int shard)>;

/// A file that lies beside the shards.
struct SetFile {
    std::string name;
    std::string content;
};

/// All members call it with the same `set` (all but mean, stddev, fingerprint, folder and splits;
/// `set.shards` says how many there are). Member r of n writes the shards r, r + n, ... All return the opened
/// set, or all throw and nothing is left.
DataSetInfo write_set(DataSetInfo set, const std::filesystem::path& out, const ImportTeam& team,
                      const WriteShard& write_shard, const std::vector<SetFile>& files = {});

}  // namespace trireme::io
