#include "io/checkpoint/describe.hpp"

#include <nlohmann/json.hpp>

#include "io/checkpoint/index.hpp"
#include "io/checkpoint/slice.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::io {

CheckpointDescription describe_checkpoint(const std::filesystem::path& folder) {
    const CheckpointIndex index = open_checkpoint(folder);
    CheckpointDescription description;
    description.folder = folder;
    description.schema = checkpoint_schema;
    description.step = index.step;
    description.meta = index.meta;
    for (const StoredFile& file : index.files) {
        description.files.push_back(file.name);
        description.bytes += file.bytes;
    }
    std::map<std::string, TensorDescription> tensors;
    for (const StoredSlice& slice : index.slices) {
        TensorDescription& tensor = tensors[slice.spec.name];
        tensor.name = slice.spec.name;
        tensor.shape = slice.spec.global_shape;
        tensor.dtype = slice.spec.dtype;
        ++tensor.slices;
        tensor.bytes += slice_bytes(slice.spec);
    }
    for (auto& [name, tensor] : tensors) description.tensors.push_back(std::move(tensor));
    return description;
}

std::string CheckpointDescription::json() const {
    nlohmann::ordered_json object;
    object["folder"] = folder.string();
    object["schema"] = schema;
    object["step"] = step;
    object["bytes"] = bytes;
    object["files"] = files;
    object["meta"] = meta;
    object["tensors"] = nlohmann::ordered_json::array();
    for (const TensorDescription& tensor : tensors) {
        object["tensors"].push_back({{"name", tensor.name},
                                     {"shape", tensor.shape.dims()},
                                     {"dtype", name_of(tensor.dtype)},
                                     {"slices", tensor.slices},
                                     {"bytes", tensor.bytes}});
    }
    return object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string CheckpointDescription::text() const {
    std::string lines = fmt::format("{}: step {}, schema {}, {} in {} files\n", folder.string(), step, schema,
                                    human_bytes(Bytes(bytes)), files.size());
    for (const auto& [key, value] : meta) lines += fmt::format("  {} = {}\n", key, value);
    for (const TensorDescription& tensor : tensors) {
        lines += fmt::format("  {:<48} {:>18} {:<4} {:>3} slices {:>10}\n", tensor.name, tensor.shape.str(),
                             name_of(tensor.dtype), tensor.slices, human_bytes(Bytes(tensor.bytes)));
    }
    return lines;
}

void CheckpointReport::require_good() const {
    if (good()) return;
    throw DataError(problems.size() == 1
                        ? problems.front()
                        : fmt::format("{} (and {} more problems)", problems.front(), problems.size() - 1));
}

CheckpointReport verify_checkpoint(const std::filesystem::path& folder) {
    const CheckpointReader reader(folder);
    CheckpointReport report;
    std::vector<std::byte> data;
    for (const SliceSpec& slice : reader.slices()) {
        data.resize(static_cast<std::size_t>(slice_bytes(slice)));
        try {
            reader.read(slice, data);
        } catch (const DataError& error) {
            report.problems.emplace_back(error.what());
        }
        ++report.slices;
        report.bytes += static_cast<std::int64_t>(data.size());
    }
    return report;
}

}  // namespace trireme::io
