#include "jobs/models/gpt.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "jobs/models/loss.hpp"
#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

using namespace layers;

struct GptPreset {
    std::string_view name;
    GptShape shape;
};

/// The sizes of the smallest GPT-2, and of a network that learns the letters of a book in minutes.
constexpr std::array gpt_presets{
    GptPreset{"gpt-char", {.context = 256, .layers = 6, .heads = 8, .width = 384, .vocabulary = 256}},
    GptPreset{"gpt2-124m", {.context = 1024, .layers = 12, .heads = 12, .width = 768, .vocabulary = 50257}},
};

const GptPreset* find_gpt_preset(std::string_view name) {
    const auto found = std::find_if(gpt_presets.begin(), gpt_presets.end(),
                                    [&](const GptPreset& p) { return p.name == name; });
    return found == gpt_presets.end() ? nullptr : &*found;
}

/// The preset's sizes with what the job says instead.
GptShape shape_of(const ModelSpec& spec) {
    const GptPreset* preset = find_gpt_preset(spec.name);
    ensure(preset != nullptr, "a preset of this family");
    GptShape shape = preset->shape;
    const GptKeys& keys = spec.gpt;
    shape.context = keys.context.value_or(shape.context);
    shape.layers = keys.layers.value_or(shape.layers);
    shape.heads = keys.heads.value_or(shape.heads);
    shape.width = keys.width.value_or(shape.width);
    shape.dropout = keys.dropout.value_or(shape.dropout);
    // A data set knows how many symbols it has; a preset only guesses.
    shape.vocabulary = keys.vocabulary.value_or(spec.data ? spec.data->classes : shape.vocabulary);
    return shape;
}

std::vector<std::string> mistakes_in(const ModelSpec& spec, const GptShape& shape) {
    std::vector<std::string> mistakes;
    if (shape.width % shape.heads != 0) {
        mistakes.push_back(
            fmt::format("model.width = {} is not a multiple of model.heads = {}: each head has "
                        "an equal part of the width",
                        shape.width, shape.heads));
    }
    if (spec.loss && *spec.loss != LossKind::cross_entropy) {
        mistakes.push_back(fmt::format("model.loss = {}: {} predicts tokens, whose loss is cross-entropy",
                                       name_of(*spec.loss), spec.name));
    }
    if (spec.input) {
        mistakes.push_back(
            fmt::format("model.input = {}: samples of {} are tokens: say how many with "
                        "model.context",
                        spec.input->str(), spec.name));
    }
    if (spec.classes) {
        mistakes.push_back(
            fmt::format("model.classes = {}: the classes of {} are the tokens: say how many "
                        "there are with model.vocabulary",
                        *spec.classes, spec.name));
    }
    if (!spec.data) return mistakes;
    if (spec.data->target_kind != "next-token") {
        mistakes.push_back(
            fmt::format("{} takes tokens, but {} has samples {} with targets of kind {}: import "
                        "a text with `trireme data import --source text:FILE`",
                        spec.name, spec.data->folder, spec.data->input.str(), spec.data->target_kind));
    } else if (shape.vocabulary < spec.data->classes) {
        mistakes.push_back(fmt::format("model.vocabulary = {} but {} has {} different tokens",
                                       shape.vocabulary, spec.data->folder, spec.data->classes));
    }
    return mistakes;
}

class Builder {
  public:
    Builder(const std::string& name, const GptShape& shape)
        : graph_(name, Shape{shape.context}, Shape{shape.context}, DType::i32, DType::i32),
          shape_(shape),
          branch_end_(deviation / std::sqrt(2.0 * static_cast<double>(shape.layers))) {}

    ModelGraph build(const Op& loss) {
        TensorId x = graph_.add("wte", Embedding{shape_.vocabulary, shape_.width}, {graph_.input()});
        const ParamId tokens = graph_.nodes().back().params.front();
        x = dropped("drop", graph_.add("wpe", PositionEmbedding{}, {x}));
        for (std::int64_t i = 0; i < shape_.layers; ++i) x = block(fmt::format("h.{}.", i), x);
        x = graph_.add("ln_f", LayerNorm{}, {x});
        x = graph_.add_with_params("head", Linear{.out_features = shape_.vocabulary}, {x}, {tokens});
        graph_.add("loss", loss, {x, graph_.target()});
        return std::move(graph_);
    }

  private:
    static constexpr double deviation = 0.02;

    TensorId block(const std::string& name, TensorId x) {
        TensorId y = graph_.add(name + "ln_1", LayerNorm{}, {x});
        y = dense(name + "attn.c_attn", 3 * shape_.width, deviation, y);
        y = graph_.add(name + "attn", CausalSelfAttention{shape_.heads}, {y});
        y = dropped(name + "attn.drop", dense(name + "attn.c_proj", shape_.width, branch_end_, y));
        x = graph_.add(name + "add_1", Add{}, {x, y});
        y = graph_.add(name + "ln_2", LayerNorm{}, {x});
        y = dense(name + "mlp.c_fc", 4 * shape_.width, deviation, y);
        y = graph_.add(name + "mlp.gelu", Gelu{.tanh = true}, {y});
        y = dropped(name + "mlp.drop", dense(name + "mlp.c_proj", shape_.width, branch_end_, y));
        return graph_.add(name + "add_2", Add{}, {x, y});
    }

    /// A linear layer and its bias, with the family's initial weights.
    TensorId dense(const std::string& name, std::int64_t features, double start, TensorId x) {
        const std::int64_t in = graph_.tensor(x).shape[1];
        const ParamId weight =
            graph_.add_param({name + ".weight", {features, in}, {Init::Kind::normal, start}});
        x = graph_.add_with_params(name, Linear{.out_features = features}, {x}, {weight});
        const ParamId bias = graph_.add_param({name + ".bias", {features}, {}});
        return graph_.add_with_params(name + "_bias", Bias{}, {x}, {bias});
    }

    TensorId dropped(const std::string& name, TensorId x) {
        return shape_.dropout > 0 ? graph_.add(name, Dropout{.p = shape_.dropout}, {x}) : x;
    }

    ModelGraph graph_;
    GptShape shape_;
    double branch_end_;  ///< deviation of the weights that end a branch
};

}  // namespace

std::vector<std::string> gpt_names() {
    std::vector<std::string> names;
    for (const GptPreset& preset : gpt_presets) names.emplace_back(preset.name);
    return names;
}

bool is_gpt(std::string_view preset) { return find_gpt_preset(preset) != nullptr; }

std::optional<std::int64_t> token_context(const ModelSpec& spec) {
    if (!spec.file.empty() || !is_gpt(spec.name)) return std::nullopt;
    return shape_of(spec).context;
}

layers::ModelGraph build_gpt(const ModelSpec& spec) {
    const GptShape shape = shape_of(spec);
    const std::vector<std::string> mistakes = mistakes_in(spec, shape);
    if (mistakes.size() == 1) throw ConfigError(mistakes.front());
    if (!mistakes.empty())
        throw ConfigError(fmt::format("{} mistakes:\n  {}", mistakes.size(), fmt::join(mistakes, "\n  ")));
    return Builder(spec.name, shape)
        .build(loss_op(LossKind::cross_entropy, spec.label_smoothing.value_or(0)));
}

}  // namespace trireme::jobs
