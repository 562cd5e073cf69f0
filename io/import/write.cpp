#include <nlohmann/json.hpp>

#include "io/hdf5/shard_writer.hpp"
#include "io/import/channel_sums.hpp"
#include "io/import/import.hpp"
#include "io/import/sample_window.hpp"
#include "io/import/together.hpp"
#include "io/posix_file.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/log.hpp"

namespace trireme::io {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

json to_json(const ShardSums& sums) {
    json result = json::object();
    for (const auto& [name, part] : sums) {
        result[name] = {{"samples", part.samples}, {"x", part.x}, {"y", part.y}};
    }
    return result;
}

ShardSums sums_from_json(const json& text) {
    ShardSums sums;
    for (const auto& [name, part] : text.items()) {
        sums[name] = {part.at("samples").get<std::int64_t>(), part.at("x").get<std::vector<std::uint64_t>>(),
                      part.at("y").get<std::vector<std::uint64_t>>()};
    }
    return sums;
}

class Importer {
  public:
    Importer(const ImportSource& source, const ImportPlan& plan, const fs::path& out, const ImportTeam& team);
    DataSetInfo run();

  private:
    std::string prepare();
    std::string write_shards();
    std::string write_shard(int shard);
    void learn(const std::vector<std::string>& written);
    std::string seal();
    std::string publish();
    void count(std::int64_t samples);
    [[nodiscard]] fs::path temporary_path(int shard) const {
        return temporary_ / shard_file_name(shard, plan_.shards);
    }

    const ImportSource& source_;
    const ImportPlan& plan_;
    fs::path out_;
    fs::path temporary_;
    const ImportTeam& team_;
    DataSetInfo set_;
    std::size_t channels_;
    std::int64_t mine_ = 0;  ///< samples that this member writes
    std::int64_t done_ = 0;
};

Importer::Importer(const ImportSource& source, const ImportPlan& plan, const fs::path& out,
                   const ImportTeam& team)
    : source_(source), plan_(plan), out_(fs::absolute(out).lexically_normal()), team_(team) {
    if (out_.filename().empty()) out_ = out_.parent_path();
    temporary_ = out_.parent_path() / ("." + out_.filename().string() + ".importing");
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

DataSetInfo Importer::run() {
    together(team_, [&] { return prepare(); });
    try {
        learn(together(team_, [&] { return write_shards(); }));
        together(team_, [&] { return seal(); });
        together(team_, [&] { return publish(); });
    } catch (...) {
        // All members are past the phase that failed, so nobody writes there any more.
        std::error_code ignored;
        if (team_.rank == 0) fs::remove_all(temporary_, ignored);
        throw;
    }
    return open_data_set(out_);
}

std::string Importer::prepare() {
    if (team_.rank != 0) return "";
    if (fs::exists(out_)) {
        throw ConfigError(
            fmt::format("{}: exists already, and an import overwrites nothing: remove it, or name another "
                        "--out",
                        out_.string()));
    }
    if (fs::exists(temporary_)) {
        log::warn("{}: left by an import that did not end; it is removed", temporary_.string());
        fs::remove_all(temporary_);
    }
    std::error_code error;
    fs::create_directories(temporary_, error);
    if (error) {
        throw DataError(fmt::format("{}: cannot create the folder: {}: choose another --out",
                                    temporary_.string(), error.message()));
    }
    return "";
}

std::string Importer::write_shards() {
    json result = json::object();
    for (int shard = team_.rank; shard < plan_.shards; shard += team_.ranks) {
        result[std::to_string(shard)] = json::parse(write_shard(shard));
    }
    return result.dump();
}

std::string Importer::write_shard(int shard) {
    ChannelSums channel_sums(set_.x_dtype, channels_);
    ShardWriter writer(temporary_path(shard), set_, shard, plan_.deflate);
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
    return json{{"channels", channel_sums.text()}, {"splits", to_json(writer.finish())}}.dump();
}

void Importer::count(std::int64_t samples) {
    done_ += samples;
    if (team_.progress) team_.progress("importing", done_, mine_);
}

void Importer::learn(const std::vector<std::string>& written) {
    ChannelSums total(set_.x_dtype, channels_);
    std::vector<ShardSums> sums;
    std::vector<json> members;
    for (const std::string& text : written) members.push_back(json::parse(text));
    for (int shard = 0; shard < plan_.shards; ++shard) {
        const json& said =
            members.at(static_cast<std::size_t>(shard % team_.ranks)).at(std::to_string(shard));
        total.add(ChannelSums::from_text(set_.x_dtype, channels_, said.at("channels").get<std::string>()));
        sums.push_back(sums_from_json(said.at("splits")));
    }
    set_.mean = total.mean();
    set_.stddev = total.stddev();
    set_.fingerprint = set_fingerprint(set_, sums);
}

std::string Importer::seal() {
    for (int shard = team_.rank; shard < plan_.shards; shard += team_.ranks)
        seal_shard(temporary_path(shard), set_);
    return "";
}

std::string Importer::publish() {
    if (team_.rank != 0) return "";
    sync_folder(temporary_);
    // Whatever the file system did not keep must show now, not when it is trained on.
    static_cast<void>(open_data_set(temporary_));
    fs::rename(temporary_, out_);
    sync_folder(out_.parent_path());
    return "";
}

}  // namespace

ImportTeam ImportTeam::alone() {
    return {0, 1, [](std::string text) { return std::vector<std::string>{std::move(text)}; }};
}

DataSetInfo write_import(const ImportSource& source, const ImportPlan& plan, const std::filesystem::path& out,
                         const ImportTeam& team) {
    return Importer(source, plan, out, team).run();
}

}  // namespace trireme::io
