#include "io/checkpoint/index.hpp"

#include <nlohmann/json.hpp>

#include "io/checkpoint/slice.hpp"
#include "io/posix_file.hpp"
#include "runtime/core/digest.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

using nlohmann::json;

constexpr std::int64_t max_index_bytes = std::int64_t{1} << 30;
constexpr std::int64_t max_done_bytes = 256;

DType dtype_named(const std::string& name) {
    for (const DType t :
         {DType::u8, DType::i32, DType::i64, DType::f32, DType::f64, DType::bf16, DType::f16}) {
        if (name_of(t) == name) return t;
    }
    throw DataError(fmt::format("dtype '{}' is not known", name));
}

json to_json(const StoredSlice& slice) {
    const SliceSpec& spec = slice.spec;
    return {{"name", spec.name},
            {"shape", spec.global_shape.dims()},
            {"dtype", name_of(spec.dtype)},
            {"offset", spec.box_offset},
            {"extent", spec.box_extent},
            {"flat", {spec.flat.begin, spec.flat.end}},
            {"file", slice.file},
            {"dataset", slice.dataset},
            {"position", slice.offset},
            {"bytes", slice_bytes(spec)},
            {"xxh3", hex64(slice.xxh3)}};
}

StoredSlice slice_from_json(const json& from) {
    StoredSlice slice;
    SliceSpec& spec = slice.spec;
    spec.name = from.at("name").get<std::string>();
    spec.global_shape = Shape(from.at("shape").get<std::vector<std::int64_t>>());
    spec.dtype = dtype_named(from.at("dtype").get<std::string>());
    spec.box_offset = from.at("offset").get<std::vector<std::int64_t>>();
    spec.box_extent = from.at("extent").get<std::vector<std::int64_t>>();
    spec.flat = {from.at("flat").at(0).get<std::int64_t>(), from.at("flat").at(1).get<std::int64_t>()};
    slice.file = from.at("file").get<std::size_t>();
    slice.dataset = from.at("dataset").get<std::string>();
    slice.offset = from.at("position").get<std::int64_t>();
    const std::string digits = from.at("xxh3").get<std::string>();
    std::size_t used = 0;
    if (digits.size() == 16) slice.xxh3 = std::stoull(digits, &used, 16);
    if (used != 16)
        throw DataError(fmt::format("checksum '{}' of {} is not 16 hex digits", digits, spec.name));
    return slice;
}

void require_schema(const json& root) {
    if (root.at("format").get<std::string>() != checkpoint_format_name)
        throw DataError("it is of another format");
    const std::int64_t schema = root.at("schema").get<std::int64_t>();
    if (schema > checkpoint_schema) {
        throw DataError(
            fmt::format("it has checkpoint schema {}, newer than the {} that this Trireme reads: use a "
                        "newer Trireme",
                        schema, checkpoint_schema));
    }
    if (schema < 1) throw DataError(fmt::format("{} is no schema version", schema));
}

/// Checks a slice against the list of files: what a file claims is compared with what is there before it is
/// used.
void require_inside(const StoredSlice& slice, const CheckpointIndex& index) {
    const std::string problem = slice_problem(slice.spec);
    if (!problem.empty()) throw DataError(fmt::format("slice of {}: {}", slice.spec.name, problem));
    if (slice.file >= index.files.size()) {
        throw DataError(
            fmt::format("slice of {}: file number {} is not in the list", slice.spec.name, slice.file));
    }
    const StoredFile& file = index.files[slice.file];
    const std::int64_t bytes = slice_bytes(slice.spec);
    if (slice.offset < 0 || bytes > file.bytes || slice.offset > file.bytes - bytes) {
        throw DataError(fmt::format("slice of {}: {} bytes from {} on lie outside {}, which has {}",
                                    slice.spec.name, bytes, slice.offset, file.name, file.bytes));
    }
}

CheckpointIndex index_from_json(const json& root) {
    require_schema(root);
    CheckpointIndex index;
    index.step = root.at("step").get<std::int64_t>();
    index.meta = root.at("meta").get<CheckpointMeta>();
    for (const json& file : root.at("files")) {
        index.files.push_back({file.at("name").get<std::string>(), file.at("bytes").get<std::int64_t>()});
        const std::string& name = index.files.back().name;
        if (name.empty() || name.find('/') != std::string::npos || name.starts_with('.')) {
            throw DataError(fmt::format("file name '{}' is not one of ours", name));
        }
    }
    for (const json& slice : root.at("slices")) {
        index.slices.push_back(slice_from_json(slice));
        require_inside(index.slices.back(), index);
    }
    return index;
}

/// " The newest good one there is X.", or that there is none.
std::string advice(const std::filesystem::path& folder) {
    for (const std::filesystem::path& other : completed_checkpoints(folder.parent_path())) {
        if (other.filename() == folder.filename()) continue;
        return fmt::format("; the newest complete one beside it is {}", other.string());
    }
    return "; there is no complete one beside it";
}

}  // namespace

std::string part_file_name(int rank) { return fmt::format("part-{:04}.h5", rank); }

std::filesystem::path step_folder(const std::filesystem::path& dir, std::int64_t step) {
    return dir / fmt::format("step-{}", step);
}

std::filesystem::path temporary_step_folder(const std::filesystem::path& dir, std::int64_t step) {
    return dir / fmt::format(".tmp-step-{}", step);
}

std::string done_text(const std::string& index) {
    return fmt::format("index.json xxh3 {}\n", hex64(xxh3(index)));
}

std::string index_text(const CheckpointIndex& index) {
    json root = {{"format", checkpoint_format_name},
                 {"schema", checkpoint_schema},
                 {"step", index.step},
                 {"meta", index.meta},
                 {"files", json::array()},
                 {"slices", json::array()}};
    for (const StoredFile& file : index.files)
        root["files"].push_back({{"name", file.name}, {"bytes", file.bytes}});
    for (const StoredSlice& slice : index.slices) root["slices"].push_back(to_json(slice));
    return root.dump(1) + "\n";
}

CheckpointIndex parse_index(const std::string& text, const std::filesystem::path& path) {
    try {
        return index_from_json(json::parse(text));
    } catch (const DataError& error) {
        throw DataError(fmt::format("{}: {}", path.string(), error.what()));
    } catch (const std::exception& error) {
        throw DataError(fmt::format("{}: is not an index of a checkpoint: {}", path.string(), error.what()));
    }
}

CheckpointIndex open_checkpoint(const std::filesystem::path& folder) {
    if (!std::filesystem::is_directory(folder)) {
        throw DataError(fmt::format("{}: there is no such checkpoint{}", folder.string(), advice(folder)));
    }
    if (!std::filesystem::exists(folder / done_file_name)) {
        throw DataError(fmt::format("{}: is not complete (it has no DONE, so its save did not end){}",
                                    folder.string(), advice(folder)));
    }
    const std::filesystem::path path = folder / index_file_name;
    try {
        const std::string text = read_text_file(path, max_index_bytes);
        const std::string done = read_text_file(folder / done_file_name, max_done_bytes);
        if (done != done_text(text)) {
            throw DataError(fmt::format("{}: its checksum is {}, and DONE says '{}': the index is damaged",
                                        path.string(), hex64(xxh3(text)), done.substr(0, done.find('\n'))));
        }
        CheckpointIndex index = parse_index(text, path);
        for (const StoredFile& file : index.files) {
            const std::int64_t bytes = PosixFile(folder / file.name, PosixFile::Mode::read).size();
            if (bytes != file.bytes) {
                throw DataError(
                    fmt::format("{}: has {} bytes, and the index says {}: the file is cut short or was "
                                "replaced",
                                (folder / file.name).string(), bytes, file.bytes));
            }
        }
        return index;
    } catch (const DataError& error) {
        throw DataError(error.what() + advice(folder));
    }
}

}  // namespace trireme::io
