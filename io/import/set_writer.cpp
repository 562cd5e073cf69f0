#include "io/import/set_writer.hpp"

#include <nlohmann/json.hpp>

#include "io/hdf5/shard_writer.hpp"
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

class SetWriter {
  public:
    SetWriter(DataSetInfo set, const fs::path& out, const ImportTeam& team, const WriteShard& write_shard,
              const std::vector<SetFile>& files);
    DataSetInfo run();

  private:
    std::string prepare();
    std::string write_shards();
    void learn(const std::vector<std::string>& written);
    std::string seal();
    std::string publish();
    [[nodiscard]] fs::path temporary_path(int shard) const {
        return temporary_ / shard_file_name(shard, set_.shards);
    }
    [[nodiscard]] std::size_t channels() const {
        return static_cast<std::size_t>(set_.sample_shape[set_.sample_shape.rank() - 1]);
    }

    DataSetInfo set_;
    fs::path out_;
    fs::path temporary_;
    const ImportTeam& team_;
    const WriteShard& write_shard_;
    const std::vector<SetFile>& files_;
};

SetWriter::SetWriter(DataSetInfo set, const fs::path& out, const ImportTeam& team,
                     const WriteShard& write_shard, const std::vector<SetFile>& files)
    : set_(std::move(set)),
      out_(fs::absolute(out).lexically_normal()),
      team_(team),
      write_shard_(write_shard),
      files_(files) {
    if (out_.filename().empty()) out_ = out_.parent_path();
    temporary_ = out_.parent_path() / ("." + out_.filename().string() + ".importing");
}

DataSetInfo SetWriter::run() {
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

std::string SetWriter::prepare() {
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

std::string SetWriter::write_shards() {
    json result = json::object();
    for (int shard = team_.rank; shard < set_.shards; shard += team_.ranks) {
        const WrittenShard written = write_shard_(temporary_path(shard), shard);
        json& said = result[std::to_string(shard)];
        if (written.channels) said["channels"] = written.channels->text();
        said["splits"] = to_json(written.sums);
    }
    return result.dump();
}

void SetWriter::learn(const std::vector<std::string>& written) {
    std::optional<ChannelSums> total;
    std::vector<ShardSums> sums;
    std::vector<json> members;
    for (const std::string& text : written) members.push_back(json::parse(text));
    for (int shard = 0; shard < set_.shards; ++shard) {
        const json& said =
            members.at(static_cast<std::size_t>(shard % team_.ranks)).at(std::to_string(shard));
        sums.push_back(sums_from_json(said.at("splits")));
        if (!said.contains("channels")) continue;
        if (!total) total.emplace(set_.x_dtype, channels());
        total->add(ChannelSums::from_text(set_.x_dtype, channels(), said.at("channels").get<std::string>()));
    }
    if (total) {
        set_.mean = total->mean();
        set_.stddev = total->stddev();
    }
    set_.fingerprint = set_fingerprint(set_, sums);
}

std::string SetWriter::seal() {
    for (int shard = team_.rank; shard < set_.shards; shard += team_.ranks)
        seal_shard(temporary_path(shard), set_);
    return "";
}

std::string SetWriter::publish() {
    if (team_.rank != 0) return "";
    for (const SetFile& file : files_) write_text_file(temporary_ / file.name, file.content);
    sync_folder(temporary_);
    // Whatever the file system did not keep must show now, not when it is trained on.
    static_cast<void>(open_data_set(temporary_));
    fs::rename(temporary_, out_);
    sync_folder(out_.parent_path());
    return "";
}

}  // namespace

DataSetInfo write_set(DataSetInfo set, const std::filesystem::path& out, const ImportTeam& team,
                      const WriteShard& write_shard, const std::vector<SetFile>& files) {
    return SetWriter(std::move(set), out, team, write_shard, files).run();
}

}  // namespace trireme::io
