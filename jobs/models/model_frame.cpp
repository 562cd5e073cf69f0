#include "jobs/models/model_frame.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "jobs/models/gpt.hpp"
#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

using Mistakes = std::vector<std::string>;

Shape input_of(const ModelSpec& spec, const FrameWishes& wishes, Mistakes& mistakes) {
    if (spec.data && spec.input && *spec.input != spec.data->input) {
        mistakes.push_back(fmt::format("model.input = {} but the samples of {} are {}", spec.input->str(),
                                       spec.data->folder, spec.data->input.str()));
    }
    if (spec.data) return spec.data->input;
    if (spec.input) return *spec.input;
    if (wishes.input) return *wishes.input;
    mistakes.push_back(
        "the shape of a sample is not known: name a data set (data.path), model.input = 32x32x3, or input = "
        "[32, 32, 3] at the top of the model file");
    return Shape{1};
}

/// Whose number of outputs counts, in words for messages, and the number; 0 where nobody tells one.
std::pair<std::string, std::int64_t> told_outputs(const ModelSpec& spec, const FrameWishes& wishes) {
    if (spec.classes) return {fmt::format("model.classes = {}", *spec.classes), *spec.classes};
    if (wishes.classes)
        return {fmt::format("classes = {} in the model file", *wishes.classes), *wishes.classes};
    if (spec.data) return {"the data set", spec.data->classes};
    return {"the preset", wishes.classes_if_none.value_or(0)};
}

std::int64_t outputs_of(const ModelSpec& spec, const FrameWishes& wishes, bool vectors, Mistakes& mistakes) {
    const auto [who, outputs] = told_outputs(spec, wishes);
    if (!spec.data) return outputs;
    const ModelData& data = *spec.data;
    if (!vectors) {
        if (outputs < data.classes)
            mistakes.push_back(fmt::format("{} but {} has {} classes", who, data.folder, data.classes));
        return outputs;
    }
    if (data.target_shape.rank() != 1) {
        mistakes.push_back(
            fmt::format("the targets of {} have shape {}, but a network can be trained on "
                        "vectors alone: import them as one axis",
                        data.folder, data.target_shape.str()));
        return outputs;
    }
    if (outputs != data.target_shape[0]) {
        mistakes.push_back(fmt::format("{} but the targets of {} are vectors of {}", who, data.folder,
                                       data.target_shape[0]));
    }
    return data.target_shape[0];
}

double smoothing_of(const ModelSpec& spec, const FrameWishes& wishes, LossKind loss, Mistakes& mistakes) {
    if (loss == LossKind::cross_entropy)
        return spec.label_smoothing.value_or(wishes.loss == loss ? wishes.label_smoothing : 0);
    if (spec.label_smoothing.value_or(0) > 0) {
        mistakes.push_back(fmt::format("model.label_smoothing = {} is for cross-entropy, but the loss is {}",
                                       *spec.label_smoothing, name_of(loss)));
    }
    return 0;
}

}  // namespace

ModelFrame frame_of(const ModelSpec& spec, const FrameWishes& wishes, Mistakes& mistakes) {
    ModelFrame frame;
    if (spec.data && spec.data->target_kind == "next-token") {
        mistakes.push_back(fmt::format("the samples of {} are tokens, which the presets {} take",
                                       spec.data->folder, fmt::join(gpt_names(), " and ")));
        frame.input = Shape{1};
        frame.loss = loss_op(LossKind::cross_entropy, 0);
        return frame;
    }
    frame.input = input_of(spec, wishes, mistakes);
    const LossKind fitting = spec.data ? loss_for_targets(spec.data->target_kind) : LossKind::cross_entropy;
    const LossKind loss = spec.loss.value_or(wishes.loss.value_or(fitting));
    if (spec.data) {
        const std::string refused = refuses_targets(loss, spec.data->target_kind);
        if (!refused.empty()) mistakes.push_back(fmt::format("{}: {}", spec.data->folder, refused));
    }
    const bool vectors = loss != LossKind::cross_entropy;
    frame.outputs = outputs_of(spec, wishes, spec.data && spec.data->target_kind != "class", mistakes);
    if (vectors && frame.outputs == 0 && mistakes.empty()) {
        mistakes.push_back(fmt::format(
            "the number of outputs is not known, but the loss {} needs it: name a data set (data.path), "
            "model.classes, or classes at the top of the model file",
            name_of(loss)));
    }
    if (vectors) {
        frame.target = Shape{std::max<std::int64_t>(frame.outputs, 1)};
        frame.target_dtype = DType::f32;
    }
    frame.loss = loss_op(loss, smoothing_of(spec, wishes, loss, mistakes));
    return frame;
}

ModelFrame frame_of(const ModelSpec& spec, const FrameWishes& wishes) {
    Mistakes mistakes;
    ModelFrame frame = frame_of(spec, wishes, mistakes);
    if (mistakes.size() == 1) throw ConfigError(mistakes.front());
    if (!mistakes.empty())
        throw ConfigError(fmt::format("{} mistakes:\n  {}", mistakes.size(), fmt::join(mistakes, "\n  ")));
    return frame;
}

}  // namespace trireme::jobs
