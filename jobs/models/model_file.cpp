#include "jobs/models/model_file.hpp"

#include <fstream>
#include <map>
#include <sstream>

#include <fmt/format.h>

#include "jobs/models/layer_types.hpp"
#include "jobs/models/model_frame.hpp"
#include "jobs/models/toml_reader.hpp"
#include "layers/build.hpp"
#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

using namespace layers;

/// What a layer puts out; empty where the layer is wrong, so that its readers cannot be judged.
using Output = std::optional<TensorId>;

/// The names that a list of layers can use.
struct Scope {
    const Scope* outer = nullptr;
    std::string prefix;  ///< "block.0."
    int repeats = 0;     ///< repeat blocks around it
    std::map<std::string, Output, std::less<>> outputs;

    [[nodiscard]] const Output* find(std::string_view name) const {
        for (const Scope* scope = this; scope != nullptr; scope = scope->outer) {
            const auto found = scope->outputs.find(name);
            if (found != scope->outputs.end()) return &found->second;
        }
        return nullptr;
    }
    /// Names that a layer may have meant, the nearest scope's first; not so many that comparing takes long.
    [[nodiscard]] std::vector<std::string> names() const {
        constexpr std::size_t most = 256;
        std::vector<std::string> names;
        for (const Scope* scope = this; scope != nullptr; scope = scope->outer) {
            for (const auto& [name, output] : scope->outputs) {
                if (names.size() < most && name.size() <= longest_layer_name) names.push_back(name);
            }
        }
        return names;
    }
};

/// A layer's place in the file, for a mistake that is found when the network is complete.
struct MadeBy {
    const TomlValue* table;
    std::string name;
};

class ModelFileBuilder {
  public:
    ModelFileBuilder(const TomlTable& document, const std::string& file, const ModelSpec& spec)
        : document_(document), file_(file), spec_(spec), mistakes_(file) {}

    ModelGraph build();

  private:
    void read_loss(const TomlValue& last);
    void take_frame(TomlReader& top, const FrameWishes& wishes);
    Output add_layers(const std::vector<const TomlValue*>& list, Scope& scope, Output previous);
    Output add_layer(const TomlValue& value, std::size_t index, Scope& scope, const Output& previous);
    Output add_repeat(TomlReader& reader, const std::string& name, Scope& scope, Output previous);
    Output add_rounds(const std::vector<const TomlValue*>& list, const std::string& name, std::int64_t count,
                      Scope& scope, Output previous);
    Output add_op(TomlReader& reader, const LayerOp& layer, const std::string& name,
                  const std::vector<TensorId>& inputs);
    std::optional<std::vector<TensorId>> inputs_of(TomlReader& reader, const Scope& scope,
                                                   const Output& previous);
    std::string name_of_layer(TomlReader& reader, const LayerType* type, const std::string& type_name,
                              std::size_t index, const Scope& scope);
    void add_loss(const Output& previous, Scope& scope);
    void tell_unread();

    const TomlTable& document_;
    std::string file_;
    const ModelSpec& spec_;
    FileMistakes mistakes_;
    ModelFrame frame_;
    std::optional<ModelGraph> graph_;
    std::map<TensorId, MadeBy> made_by_;
    std::size_t layers_ = 0;
    // The loss layer; without one a loss is added behind the last layer.
    TomlTable no_loss_;
    const TomlTable* loss_table_ = &no_loss_;
    int loss_line_ = 1;
    std::optional<LossKind> loss_kind_;
    double label_smoothing_ = 0;
};

/// Text of an error of the graph without the node's name, which stands in front already.
std::string rule_of(const ConfigError& error, const std::string& name) {
    const std::string text = error.what();
    const std::string prefix = fmt::format("node {}: ", name);
    return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

std::string_view type_of(const TomlValue& layer) {
    const TomlValue* type = layer.as<TomlTable>()->find("type");
    const auto* text = type == nullptr ? nullptr : type->as<std::string>();
    return text == nullptr ? std::string_view{} : std::string_view(*text);
}

ModelGraph ModelFileBuilder::build() {
    TomlReader top(document_, 1, "", mistakes_);
    const std::string name = top.text("name").value_or("network");
    if (name.size() > longest_layer_name)
        top.refuse("name", fmt::format("must have at most {} letters", longest_layer_name));
    FrameWishes wishes;
    if (const auto dims = top.maybe_integers("input", 8)) wishes.input = Shape(*dims);
    wishes.classes = top.maybe_integer("classes", 1, std::int64_t{1} << 30);
    std::vector<const TomlValue*> list = top.tables("layer");
    if (!list.empty() && loss_named(type_of(*list.back()))) {
        read_loss(*list.back());
        list.pop_back();
    }
    if (list.empty() && top.ok())
        top.refuse("layer", "there are no layers: describe the network, each under its own [[layer]]");
    top.finish();
    wishes.loss = loss_kind_;
    wishes.label_smoothing = label_smoothing_;
    take_frame(top, wishes);
    try {
        graph_.emplace(frame_.start(name));
    } catch (const ConfigError& error) {
        top.refuse("name", error.what());
        mistakes_.raise();
    }
    // Without the shape of a sample no layer's shapes can be judged.
    const Output input = spec_.data || spec_.input || wishes.input ? Output(graph_->input()) : std::nullopt;
    Scope scope;
    scope.outputs.emplace("input", input);
    add_loss(add_layers(list, scope, input), scope);
    if (mistakes_.empty()) tell_unread();
    if (mistakes_.empty() && graph_->params().empty())
        top.refuse("", "no layer has parameters: there is nothing to train");
    mistakes_.raise();
    return std::move(*graph_);
}

void ModelFileBuilder::take_frame(TomlReader& top, const FrameWishes& wishes) {
    std::vector<std::string> told;
    frame_ = frame_of(spec_, wishes, told);
    for (std::size_t i = 0; i < told.size(); ++i)
        mistakes_.add(1, {nullptr, fmt::format("{}", i)}, "", told[i]);
    if (wishes.input && *wishes.input != frame_.input) {
        top.refuse("input",
                   fmt::format("but the samples of {} are {}: leave the line out, or make them equal",
                               spec_.data ? spec_.data->folder : "model.input", frame_.input.str()));
    }
}

/// The loss is read before all other layers, because the target follows from it.
void ModelFileBuilder::read_loss(const TomlValue& last) {
    loss_table_ = last.as<TomlTable>();
    loss_line_ = last.line;
    TomlReader reader(*loss_table_, loss_line_, "loss", mistakes_);
    (void)reader.text("type");
    (void)reader.text("name");
    (void)reader.maybe_texts("inputs", 1);
    const LayerType* type = find_layer_type(type_of(last));
    const Op op = type->read(reader, 0).op;
    loss_kind_ = loss_kind_of(op);
    if (const auto* entropy = std::get_if<SoftmaxCrossEntropy>(&op))
        label_smoothing_ = entropy->label_smoothing;
    reader.finish();
}

Output ModelFileBuilder::add_layers(const std::vector<const TomlValue*>& list, Scope& scope,
                                    Output previous) {
    for (std::size_t i = 0; i < list.size() && !mistakes_.full(); ++i) {
        if (layers_ > most_layers) return std::nullopt;
        previous = add_layer(*list[i], i, scope, previous);
    }
    return previous;
}

Output ModelFileBuilder::add_layer(const TomlValue& value, std::size_t index, Scope& scope,
                                   const Output& previous) {
    TomlReader reader(*value.as<TomlTable>(), value.line, fmt::format("layer {}{}", scope.prefix, index + 1),
                      mistakes_);
    if (++layers_ > most_layers) {
        reader.refuse("", fmt::format("the network has more than {} layers after unrolling", most_layers));
        return std::nullopt;
    }
    reader.missing("type", "say what the layer is, such as conv2d");
    const std::string type_name = reader.text("type").value_or("");
    const LayerType* type = find_layer_type(type_name);
    const bool repeat = type_name == "repeat";
    const std::string name = name_of_layer(reader, type, type_name, index, scope);
    Output output;
    if (repeat) {
        output = add_repeat(reader, name, scope, previous);
    } else if (type == nullptr) {
        std::vector<std::string> known{"repeat"};
        for (const LayerType& t : layer_types()) known.emplace_back(t.name);
        if (!type_name.empty()) reader.refuse("type", "unknown layer type" + suggestion(type_name, known));
    } else if (loss_named(type_name)) {
        reader.refuse("type", "a loss is the last [[layer]] of the file, and stands in no repeat block");
    } else {
        const auto inputs = inputs_of(reader, scope, previous);
        const LayerOp layer = type->read(reader, frame_.outputs);
        reader.finish();
        if (inputs && reader.ok()) output = add_op(reader, layer, scope.prefix + name, *inputs);
        if (output) made_by_[*output] = {&value, scope.prefix + name};
    }
    if (scope.outputs.contains(name))
        reader.refuse("name", "is the name of an earlier layer: choose another");
    scope.outputs[name] = output;
    return output;
}

std::string ModelFileBuilder::name_of_layer(TomlReader& reader, const LayerType* type,
                                            const std::string& type_name, std::size_t index,
                                            const Scope& scope) {
    std::string name = reader.text("name").value_or(fmt::format("{}{}", shown(type_name), index + 1));
    reader.set_subject(fmt::format("layer {}{}", scope.prefix, shown(name)));
    if (type_name == "repeat" || (type != nullptr && type->named))
        reader.missing("name", fmt::format("{} layers are known by it in checkpoints", type_name));
    if (name.size() > longest_layer_name) {
        reader.refuse("name", fmt::format("must have at most {} letters", longest_layer_name));
        name.resize(longest_layer_name);
    }
    if (name == "input" || name == "target" || name == "block_input")
        reader.refuse("name", "means something else in model files: choose another");
    return name;
}

std::optional<std::vector<TensorId>> ModelFileBuilder::inputs_of(TomlReader& reader, const Scope& scope,
                                                                 const Output& previous) {
    const auto names = reader.maybe_texts("inputs", most_layer_inputs);
    if (!names) return previous && reader.ok() ? std::optional(std::vector{*previous}) : std::nullopt;
    std::vector<TensorId> inputs;
    for (const std::string& name : *names) {
        const Output* output = scope.find(name);
        if (output == nullptr) {
            reader.refuse("inputs", fmt::format("no earlier layer has the name {}{}", shown(name),
                                                mistakes_.full() ? "" : suggestion(name, scope.names())));
        } else if (*output) {
            inputs.push_back(**output);
        }
    }
    if (inputs.size() != names->size()) return std::nullopt;
    return inputs;
}

Output ModelFileBuilder::add_op(TomlReader& reader, const LayerOp& layer, const std::string& name,
                                const std::vector<TensorId>& inputs) {
    try {
        if (!layer.bias) return graph_->add(name, layer.op, inputs);
        if (inputs.size() != 1)
            throw ConfigError(fmt::format("{} inputs are given, but it reads 1", inputs.size()));
        if (const auto* conv = std::get_if<Conv2d>(&layer.op))
            return conv_bias(*graph_, name, *conv, inputs.front());
        return linear_bias(*graph_, name, std::get<Linear>(layer.op), inputs.front());
    } catch (const ConfigError& error) {
        reader.refuse("", rule_of(error, name));
        return std::nullopt;
    }
}

Output ModelFileBuilder::add_repeat(TomlReader& reader, const std::string& name, Scope& scope,
                                    Output previous) {
    reader.missing("count", "say how often the block stands in the network");
    const std::int64_t count = reader.integer("count", 1, 1, most_repeats);
    const std::vector<const TomlValue*> list = reader.tables("layer");
    if (list.empty()) reader.missing("layer", "describe the block, each layer under its own [[layer.layer]]");
    const auto names = reader.maybe_texts("inputs", 1);
    if (names) {
        const auto inputs = inputs_of(reader, scope, previous);
        previous = inputs ? Output(inputs->front()) : std::nullopt;
    }
    reader.finish();
    if (scope.repeats == deepest_repeats)
        reader.refuse("", fmt::format("more than {} repeat blocks inside each other", deepest_repeats));
    if (!reader.ok()) previous = std::nullopt;
    if (list.empty() || scope.repeats == deepest_repeats) return std::nullopt;
    return add_rounds(list, name, count, scope, previous);
}

Output ModelFileBuilder::add_rounds(const std::vector<const TomlValue*>& list, const std::string& name,
                                    std::int64_t count, Scope& scope, Output previous) {
    const std::size_t mistakes_before = mistakes_.size();
    std::map<std::string, Output, std::less<>> outputs;
    for (std::int64_t i = 0; i < count && layers_ <= most_layers; ++i) {
        if (mistakes_.size() == mistakes_before) {
            Scope round{&scope, fmt::format("{}{}.{}.", scope.prefix, name, i), scope.repeats + 1, {}};
            round.outputs.emplace("block_input", previous);
            previous = add_layers(list, round, previous);
            round.outputs.erase("block_input");
            outputs = std::move(round.outputs);
        } else {
            // The same mistakes would come again: the other rounds give their names only.
            for (auto& [inner, output] : outputs) output = std::nullopt;
            layers_ += std::max<std::size_t>(outputs.size(), 1);
            previous = std::nullopt;
        }
        // Layers outside may name them in full.
        for (const auto& [inner, output] : outputs)
            scope.outputs.emplace(fmt::format("{}.{}.{}", name, i, inner), output);
    }
    return previous;
}

void ModelFileBuilder::add_loss(const Output& previous, Scope& scope) {
    TomlReader reader(*loss_table_, loss_line_, "loss", mistakes_);
    const std::string name = reader.text("name").value_or("loss");
    const auto inputs = inputs_of(reader, scope, previous);
    if (!inputs || !reader.ok() || !mistakes_.empty()) return;
    const Shape outputs = graph_->tensor(inputs->front()).shape;
    if (spec_.data && frame_.target.rank() == 0 && outputs.rank() == 1 && outputs[0] < spec_.data->classes) {
        reader.refuse("",
                      fmt::format("the network ends in {}, but {} has {} classes: \"classes\" in the last "
                                  "layer stands for their number",
                                  outputs.str(), spec_.data->folder, spec_.data->classes));
        return;
    }
    try {
        frame_.finish(*graph_, inputs->front(), name);
    } catch (const ConfigError& error) {
        reader.refuse("", rule_of(error, name));
    }
}

/// A layer that leads nowhere gets no gradient: its parameters would stay what they are, which nobody means.
void ModelFileBuilder::tell_unread() {
    std::vector<bool> read(graph_->tensors().size(), false);
    for (const Node& node : graph_->nodes()) {
        for (TensorId input : node.inputs) read[static_cast<std::size_t>(input)] = true;
    }
    for (const auto& [tensor, made_by] : made_by_) {
        if (read[static_cast<std::size_t>(tensor)]) continue;
        TomlReader reader(*made_by.table->as<TomlTable>(), made_by.table->line,
                          fmt::format("layer {}", made_by.name), mistakes_);
        reader.refuse("", fmt::format("nothing reads its output {}: remove it, or name it in the inputs of "
                                      "a later layer",
                                      graph_->tensor(tensor).shape.str()));
    }
}

}  // namespace

ModelGraph model_from_toml(std::string_view text, const std::string& file, const ModelSpec& spec) {
    const TomlTable document = parse_toml(text, file);
    return ModelFileBuilder(document, file, spec).build();
}

ModelGraph read_model_file(const ModelSpec& spec) {
    std::ifstream stream(spec.file, std::ios::binary);
    std::string text(largest_model_file + 1, '\0');
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (!stream.is_open() || stream.bad()) {
        throw ConfigError(
            fmt::format("model.file = {}: cannot be read: is the path right?", spec.file.string()));
    }
    text.resize(static_cast<std::size_t>(stream.gcount()));
    return model_from_toml(text, spec.file.filename().string(), spec);
}

}  // namespace trireme::jobs
