#include <nlohmann/json.hpp>

#include "io/hdf5/shard_writer.hpp"
#include "io/import/channel_sums.hpp"
#include "io/import/import.hpp"
#include "io/posix_file.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/log.hpp"

namespace trireme::io {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

/// What one member says to the others after a phase: its result, or its error.
struct Outcome {
    std::string result;
    std::exception_ptr error;
    std::string message;
    ErrorClass error_class = ErrorClass::internal;
};

Outcome attempt(const std::function<std::string()>& work) {
    Outcome outcome;
    try {
        outcome.result = work();
    } catch (const Error& error) {
        outcome.error = std::current_exception();
        outcome.message = error.what();
        outcome.error_class = error.error_class();
    } catch (const std::exception& error) {
        outcome.error = std::current_exception();
        outcome.message = error.what();
    }
    return outcome;
}

/// Runs a phase on every member and returns all results. Where one failed all throw: itself its own error,
/// the others one that names it.
std::vector<std::string> together(const ImportTeam& team, const std::function<std::string()>& work) {
    const Outcome mine = attempt(work);
    const json said = {{"result", mine.result},
                       {"failed", mine.error != nullptr},
                       {"message", mine.message},
                       {"class", static_cast<int>(mine.error_class)}};
    const std::vector<std::string> texts =
        team.all_gather(said.dump(-1, ' ', false, json::error_handler_t::replace));
    if (mine.error) std::rethrow_exception(mine.error);
    std::vector<std::string> results;
    for (std::size_t r = 0; r < texts.size(); ++r) {
        const json other = json::parse(texts[r]);
        if (other.at("failed").get<bool>()) {
            throw Error(static_cast<ErrorClass>(other.at("class").get<int>()),
                        fmt::format("the import was given up because rank {} failed: {}", r,
                                    other.at("message").get<std::string>()));
        }
        results.push_back(other.at("result").get<std::string>());
    }
    return results;
}

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
    void require_class(std::int32_t label, const SourceRef& ref) const;
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
};

Importer::Importer(const ImportSource& source, const ImportPlan& plan, const fs::path& out,
                   const ImportTeam& team)
    : source_(source), plan_(plan), out_(fs::absolute(out).lexically_normal()), team_(team) {
    if (out_.filename().empty()) out_ = out_.parent_path();
    temporary_ = out_.parent_path() / ("." + out_.filename().string() + ".importing");
    set_.sample_shape = source.sample_shape();
    set_.x_dtype = source.dtype();
    set_.target_kind = target_class;
    set_.classes = source.classes();
    set_.class_names = source.class_names();
    set_.source = source.description();
    set_.licence = source.licence();
    set_.import_seed = plan.seed;
    set_.shards = plan.shards;
    channels_ = static_cast<std::size_t>(set_.sample_shape[set_.sample_shape.rank() - 1]);
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
    const std::size_t row_bytes = static_cast<std::size_t>(set_.sample_bytes());
    for (const char* name : split_names) {
        const SplitLayout& layout = plan_.splits.at(name);
        const IndexRange piece = layout.pieces.at(static_cast<std::size_t>(shard));
        writer.write_split(name, piece.size(),
                           [&](std::int64_t first_row, std::span<std::byte> x, std::span<std::int32_t> y) {
                               for (std::size_t i = 0; i < y.size(); ++i) {
                                   const SourceRef ref =
                                       layout.order.at(static_cast<std::size_t>(piece.begin + first_row) + i);
                                   y[i] =
                                       source_.read(ref.part, ref.index, x.subspan(i * row_bytes, row_bytes));
                                   require_class(y[i], ref);
                               }
                               if (std::string_view(name) == "train") channel_sums.add(x);
                           });
    }
    return json{{"channels", channel_sums.text()}, {"splits", to_json(writer.finish())}}.dump();
}

void Importer::require_class(std::int32_t label, const SourceRef& ref) const {
    if (label >= 0 && label < set_.classes) return;
    throw DataError(fmt::format("{}: {} sample {}: label {} is outside 0 to {}: correct the source",
                                set_.source, source_.parts().at(ref.part).name, ref.index, label,
                                set_.classes - 1));
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
