#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "jobs/models/gpt.hpp"
#include "jobs/models/model_file.hpp"
#include "jobs/models/model_frame.hpp"
#include "jobs/models/model_spec.hpp"
#include "jobs/models/presets.hpp"
#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

struct Preset {
    std::string_view name;
    std::array<std::int64_t, 3> input;  ///< where nobody tells one
    std::int64_t classes;
    layers::ModelGraph (*build)(const ModelFrame& frame, const ModelSpec& spec);
};

const std::array table{
    Preset{"lenet", {28, 28, 1}, 10, [](const ModelFrame& f, const ModelSpec&) { return presets::lenet(f); }},
    Preset{"mlp",
           {28, 28, 1},
           10,
           [](const ModelFrame& f, const ModelSpec& spec) { return presets::mlp(f, spec.hidden); }},
    Preset{"vgg11",
           {224, 224, 3},
           1000,
           [](const ModelFrame& f, const ModelSpec&) { return presets::vgg11(f); }},
    Preset{"resnet18-cifar",
           {32, 32, 3},
           10,
           [](const ModelFrame& f, const ModelSpec&) { return presets::resnet18_cifar(f); }},
    Preset{"resnet50",
           {224, 224, 3},
           1000,
           [](const ModelFrame& f, const ModelSpec&) { return presets::resnet50(f); }},
};

}  // namespace

ModelData model_data(const io::DataSetInfo& set) {
    return {set.folder.string(), set.sample_shape, set.target_kind, set.target_shape, set.classes};
}

std::vector<std::string> preset_names() {
    std::vector<std::string> names;
    for (const Preset& preset : table) names.emplace_back(preset.name);
    for (std::string& name : gpt_names()) names.push_back(std::move(name));
    return names;
}

layers::ModelGraph build_model(const ModelSpec& spec) {
    if (!spec.file.empty()) return read_model_file(spec);
    if (is_gpt(spec.name)) return build_gpt(spec);
    const auto preset =
        std::find_if(table.begin(), table.end(), [&](const Preset& p) { return p.name == spec.name; });
    if (preset == table.end()) throw ConfigError(fmt::format("model.name = {}: no such preset", spec.name));
    FrameWishes wishes;
    wishes.input = Shape(std::vector<std::int64_t>(preset->input.begin(), preset->input.end()));
    wishes.classes_if_none = preset->classes;
    return preset->build(frame_of(spec, wishes), spec);
}

}  // namespace trireme::jobs
