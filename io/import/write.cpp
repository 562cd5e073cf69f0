#include "io/hdf5/shard_writer.hpp"
#include "io/import/channel_sums.hpp"
#include "io/import/import.hpp"
#include "io/import/sample_window.hpp"
#include "io/import/set_writer.hpp"

namespace trireme::io {
namespace {

/// Reads the samples of a plan and writes them shard by shard.
class Importer {
  public:
    Importer(const ImportSource& source, const ImportPlan& plan, const ImportTeam& team);
    [[nodiscard]] const DataSetInfo& set() const { return set_; }
    [[nodiscard]] WrittenShard write_shard(const std::filesystem::path& path, int shard);

  private:
    void count(std::int64_t samples);

    const ImportSource& source_;
    const ImportPlan& plan_;
    const ImportTeam& team_;
    DataSetInfo set_;
    std::size_t channels_;
    std::int64_t mine_ = 0;  ///< samples that this member writes
    std::int64_t done_ = 0;
};

Importer::Importer(const ImportSource& source, const ImportPlan& plan, const ImportTeam& team)
    : source_(source), plan_(plan), team_(team) {
    set_.sample_shape = source.sample_shape();
    set_.x_dtype = source.dtype();
    set_.target_kind = source.target_kind();
    set_.target_shape = source.target_shape();
    set_.classes = source.classes();
    set_.class_names = source.class_names();
    set_.source = source.description();
    set_.licence = source.licence();
    set_.import_seed = plan.seed;
    set_.shards = plan.shards;
    channels_ = static_cast<std::size_t>(set_.sample_shape[set_.sample_shape.rank() - 1]);
    for (int shard = team_.rank; shard < plan_.shards; shard += team_.ranks) {
        for (const auto& [name, layout] : plan_.splits)
            mine_ += layout.pieces.at(static_cast<std::size_t>(shard)).size();
    }
}

WrittenShard Importer::write_shard(const std::filesystem::path& path, int shard) {
    ChannelSums channel_sums(set_.x_dtype, channels_);
    ShardWriter writer(path, set_, shard, plan_.deflate);
    for (const char* name : split_names) {
        const SplitLayout& layout = plan_.splits.at(name);
        const IndexRange piece = layout.pieces.at(static_cast<std::size_t>(shard));
        SampleWindow window(source_, set_, layout.order, team_.threads,
                            [this](std::int64_t samples) { count(samples); });
        writer.write_split(name, piece.size(),
                           [&](std::int64_t first_row, std::span<std::byte> x, std::span<std::byte> y) {
                               window.copy(piece.begin + first_row, piece.end, x, y);
                               if (std::string_view(name) == "train") channel_sums.add(x);
                           });
    }
    return {std::move(channel_sums), writer.finish()};
}

void Importer::count(std::int64_t samples) {
    done_ += samples;
    if (team_.progress) team_.progress("importing", done_, mine_);
}

}  // namespace

ImportTeam ImportTeam::alone() {
    return {0, 1, [](std::string text) { return std::vector<std::string>{std::move(text)}; }};
}

DataSetInfo write_import(const ImportSource& source, const ImportPlan& plan, const std::filesystem::path& out,
                         const ImportTeam& team) {
    Importer importer(source, plan, team);
    return write_set(importer.set(), out, team, [&](const std::filesystem::path& path, int shard) {
        return importer.write_shard(path, shard);
    });
}

}  // namespace trireme::io
