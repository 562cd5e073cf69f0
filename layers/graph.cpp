#include "layers/graph.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "layers/ops/rules.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers {
namespace {

/// Names become keys of checkpoints, file names of traces and columns of tables.
void check_name(std::string_view kind, std::string_view name) {
    const bool valid = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-' || c == '.' || c == '/';
    });
    if (!valid) {
        throw ConfigError(fmt::format(
            "{} name \"{}\" is not valid: use letters, digits and any of _ - . / , at least one of them",
            kind, name));
    }
}

template <class Named>
bool has_name(const std::vector<Named>& items, std::string_view name) {
    return std::any_of(items.begin(), items.end(), [&](const Named& item) { return item.name == name; });
}

std::string init_text(const Init& init) {
    switch (init.kind) {
        case Init::Kind::zeros:
            return "zeros";
        case Init::Kind::ones:
            return "ones";
        case Init::Kind::uniform:
            return fmt::format("uniform({:.9g})", init.scale);
        case Init::Kind::normal:
            return fmt::format("normal({:.9g})", init.scale);
    }
    return "?";
}

}  // namespace

ModelGraph::ModelGraph(std::string name, Shape input, Shape target, DType target_dtype, DType input_dtype)
    : name_(std::move(name)) {
    check_name("model", name_);
    try {
        rules::checked_elements(input, "the input");
        rules::checked_elements(target, "the target");
    } catch (const ConfigError& error) {
        throw ConfigError(fmt::format("model {}: {}", name_, error.what()));
    }
    tensors_.push_back({"input", std::move(input), input_dtype});
    tensors_.push_back({"target", std::move(target), target_dtype});
}

TensorId ModelGraph::loss() const {
    ensure(!nodes_.empty(), "a graph without nodes has no loss");
    return nodes_.back().output;
}

TensorId ModelGraph::logits() const {
    ensure(!nodes_.empty(), "a graph without nodes has no logits");
    return nodes_.back().inputs.front();
}

TensorId ModelGraph::add(std::string node_name, Op op, const std::vector<TensorId>& inputs) {
    const Shape output = checked_output(node_name, op, inputs);
    std::vector<ParamId> params;
    for (ParamSpec& spec : wanted_params(node_name, op, inputs)) params.push_back(add_param(std::move(spec)));
    std::vector<BufferId> buffers;
    for (BufferSpec& spec : wanted_buffers(node_name, op, inputs))
        buffers.push_back(add_buffer(std::move(spec)));
    return append({std::move(node_name), op, inputs, -1, std::move(params), std::move(buffers)}, output);
}

TensorId ModelGraph::add_with_params(std::string node_name, Op op, const std::vector<TensorId>& inputs,
                                     std::vector<ParamId> params, std::vector<BufferId> buffers) {
    const Shape output = checked_output(node_name, op, inputs);
    check_params(node_name, op, inputs, params);
    check_buffers(node_name, op, inputs, buffers);
    return append({std::move(node_name), op, inputs, -1, std::move(params), std::move(buffers)}, output);
}

void ModelGraph::check_params(const std::string& node_name, const Op& op, const std::vector<TensorId>& inputs,
                              const std::vector<ParamId>& params) const {
    const std::vector<ParamSpec> wanted = wanted_params(node_name, op, inputs);
    if (params.size() != wanted.size()) {
        throw ConfigError(fmt::format("node {}: {} has {} parameters, but {} are given", node_name,
                                      name_of(op), wanted.size(), params.size()));
    }
    for (std::size_t i = 0; i < params.size(); ++i) {
        if (params[i] < 0 || static_cast<std::size_t>(params[i]) >= params_.size()) {
            throw ConfigError(fmt::format("node {}: parameter {} does not exist; the model has {}", node_name,
                                          params[i], params_.size()));
        }
        const ParamSpec& given = param(params[i]);
        if (given.shape != wanted[i].shape) {
            throw ConfigError(fmt::format("node {}: {} needs a parameter of shape {}, but {} has shape {}",
                                          node_name, name_of(op), wanted[i].shape.str(), given.name,
                                          given.shape.str()));
        }
    }
}

void ModelGraph::check_buffers(const std::string& node_name, const Op& op,
                               const std::vector<TensorId>& inputs,
                               const std::vector<BufferId>& buffers) const {
    const std::vector<BufferSpec> wanted = wanted_buffers(node_name, op, inputs);
    if (buffers.size() != wanted.size()) {
        throw ConfigError(fmt::format("node {}: {} has {} buffers, but {} are given", node_name, name_of(op),
                                      wanted.size(), buffers.size()));
    }
    for (std::size_t i = 0; i < buffers.size(); ++i) {
        if (buffers[i] < 0 || static_cast<std::size_t>(buffers[i]) >= buffers_.size()) {
            throw ConfigError(fmt::format("node {}: buffer {} does not exist; the model has {}", node_name,
                                          buffers[i], buffers_.size()));
        }
        const BufferSpec& given = buffer(buffers[i]);
        if (given.shape != wanted[i].shape) {
            throw ConfigError(fmt::format("node {}: {} needs a buffer of shape {}, but {} has shape {}",
                                          node_name, name_of(op), wanted[i].shape.str(), given.name,
                                          given.shape.str()));
        }
        for (const Node& other : nodes_) {
            if (std::find(other.buffers.begin(), other.buffers.end(), buffers[i]) == other.buffers.end())
                continue;
            throw ConfigError(fmt::format("node {}: buffer {} belongs to node {}: give each node its own",
                                          node_name, given.name, other.name));
        }
    }
}

ParamId ModelGraph::add_param(ParamSpec spec) {
    check_name("parameter", spec.name);
    if (has_name(params_, spec.name) || has_name(buffers_, spec.name)) {
        throw ConfigError(fmt::format("model {}: parameter {} exists already: parameter names must be unique",
                                      name_, spec.name));
    }
    rules::checked_elements(spec.shape, "parameter " + spec.name);
    params_.push_back(std::move(spec));
    return static_cast<ParamId>(params_.size() - 1);
}

BufferId ModelGraph::add_buffer(BufferSpec spec) {
    check_name("buffer", spec.name);
    if (has_name(buffers_, spec.name) || has_name(params_, spec.name)) {
        throw ConfigError(fmt::format(
            "model {}: a buffer or parameter {} exists already: names of saved tensors must be unique", name_,
            spec.name));
    }
    rules::checked_elements(spec.shape, "buffer " + spec.name);
    buffers_.push_back(std::move(spec));
    return static_cast<BufferId>(buffers_.size() - 1);
}

/// Backward gives a node one gradient for each input; a tensor that is read twice by one node would need two
/// in one place.
void ModelGraph::check_distinct(const std::string& node_name, const Op& op,
                                const std::vector<TensorId>& inputs) const {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (std::find(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(i), inputs[i]) ==
            inputs.begin() + static_cast<std::ptrdiff_t>(i))
            continue;
        throw ConfigError(fmt::format("node {}: {} reads {} twice: name each input once", node_name,
                                      name_of(op), tensor(inputs[i]).name));
    }
}

Shape ModelGraph::checked_output(const std::string& node_name, const Op& op,
                                 const std::vector<TensorId>& inputs) const {
    check_name("node", node_name);
    if (has_name(tensors_, node_name)) {
        throw ConfigError(
            fmt::format("model {}: node {} ({}) has a name that a node or the model's input or target has "
                        "already: choose "
                        "another",
                        name_, node_name, name_of(op)));
    }
    std::vector<Shape> shapes;
    for (TensorId id : inputs) {
        if (id < 0 || static_cast<std::size_t>(id) >= tensors_.size()) {
            throw ConfigError(fmt::format(
                "node {}: {} reads tensor {}, which does not exist; the model has {} so far: add the node "
                "that makes it first",
                node_name, name_of(op), id, tensors_.size()));
        }
        shapes.push_back(tensor(id).shape);
    }
    Shape output;
    try {
        output = infer_shape(op, shapes);
    } catch (const ConfigError& error) {
        throw ConfigError(fmt::format("node {}: {}", node_name, error.what()));
    }
    check_distinct(node_name, op, inputs);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const TensorSpec& in = tensor(inputs[i]);
        const DType wanted = input_dtype(op, i);
        if (in.dtype == wanted || (is_half(in.dtype) && wanted == DType::f32)) continue;
        throw ConfigError(fmt::format("node {}: {} reads {} as input {}, whose elements are {}, but needs {}",
                                      node_name, name_of(op), in.name, i, name_of(in.dtype),
                                      name_of(wanted)));
    }
    return output;
}

std::vector<ParamSpec> ModelGraph::wanted_params(const std::string& node_name, const Op& op,
                                                 const std::vector<TensorId>& inputs) const {
    try {
        return params_of(op, tensor(inputs.front()).shape, node_name);
    } catch (const ConfigError& error) {
        throw ConfigError(fmt::format("node {}: {}", node_name, error.what()));
    }
}

std::vector<BufferSpec> ModelGraph::wanted_buffers(const std::string& node_name, const Op& op,
                                                   const std::vector<TensorId>& inputs) const {
    return buffers_of(op, tensor(inputs.front()).shape, node_name);
}

TensorId ModelGraph::append(Node node, const Shape& output) {
    node.output = static_cast<TensorId>(tensors_.size());
    const DType dtype = is_view(node.op) ? tensor(node.inputs.front()).dtype : DType::f32;
    tensors_.push_back({node.name, output, dtype});
    nodes_.push_back(std::move(node));
    return nodes_.back().output;
}

void ModelGraph::store_as(TensorId id, DType dtype) {
    ensure(dtype == DType::f32 || is_half(dtype), "activations are stored as fp32, bf16 or fp16");
    const auto maker =
        std::find_if(nodes_.begin(), nodes_.end(), [id](const Node& node) { return node.output == id; });
    ensure(maker != nodes_.end() && !is_view(maker->op), "only a node that computes chooses an element type");
    ensure(readers_of(id).empty(), "a tensor's element type is chosen before it is read");
    tensors_[static_cast<std::size_t>(id)].dtype = dtype;
}

Elements ModelGraph::parameter_count() const {
    Elements total{};
    for (const ParamSpec& spec : params_) total += spec.shape.elements();
    return total;
}

std::vector<NodeId> ModelGraph::readers_of(TensorId id) const {
    std::vector<NodeId> readers;
    for (std::size_t n = 0; n < nodes_.size(); ++n) {
        const std::vector<TensorId>& inputs = nodes_[n].inputs;
        if (std::find(inputs.begin(), inputs.end(), id) != inputs.end())
            readers.push_back(static_cast<NodeId>(n));
    }
    return readers;
}

Cost& Cost::operator+=(const Cost& other) {
    forward_flops += other.forward_flops;
    backward_input_flops += other.backward_input_flops;
    backward_weight_flops += other.backward_weight_flops;
    activation_bytes += other.activation_bytes;
    weight_bytes += other.weight_bytes;
    return *this;
}

Cost ModelGraph::total_cost() const {
    Cost total;
    for (const Node& node : nodes_) {
        std::vector<Shape> inputs;
        for (TensorId id : node.inputs) inputs.push_back(tensor(id).shape);
        total += cost_of(node.op, inputs, tensor(node.output).shape);
    }
    return total;
}

std::string ModelGraph::str() const {
    std::string text = fmt::format("model {}: input {} {}, target {} {}\n", name_,
                                   tensor(input()).shape.str(), name_of(tensor(input()).dtype),
                                   tensor(target()).shape.str(), name_of(tensor(target()).dtype));
    for (const Node& node : nodes_) {
        text += fmt::format("node {}: {}({})", node.name, name_of(node.op), attributes_of(node.op));
        for (TensorId id : node.inputs) text += fmt::format(" {}{}", tensor(id).name, tensor(id).shape.str());
        const TensorSpec& output = tensor(node.output);
        text += fmt::format(" -> {}", output.shape.str());
        if (output.dtype != DType::f32) text += fmt::format(" {}", name_of(output.dtype));
        for (ParamId id : node.params) text += fmt::format(" {}", param(id).name);
        for (BufferId id : node.buffers) text += fmt::format(" {}", buffer(id).name);
        text += '\n';
    }
    for (const ParamSpec& spec : params_) {
        text += fmt::format("param {}: {} {}\n", spec.name, spec.shape.str(), init_text(spec.init));
    }
    for (const BufferSpec& spec : buffers_) {
        text += fmt::format("buffer {}: {} start {:.9g}\n", spec.name, spec.shape.str(), spec.start);
    }
    const Cost cost = total_cost();
    text += fmt::format(
        "total: {} nodes, {} parameters; a sample: {:.0f} flop forward, {:.0f} backward, {:.0f} bytes "
        "of activations moved forward\n",
        nodes_.size(), parameter_count().value, cost.forward_flops,
        cost.backward_input_flops + cost.backward_weight_flops, cost.activation_bytes);
    return text;
}

}  // namespace trireme::layers
