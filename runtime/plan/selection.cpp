#include "runtime/plan/selection.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runtime/core/error.hpp"

namespace trireme {
namespace {

/// The first names, and how many more there are.
std::string some_of(const std::vector<std::string>& names) {
    constexpr std::size_t most = 4;
    const std::size_t shown = std::min(most, names.size());
    std::string text = fmt::format("{}", fmt::join(names.begin(), names.begin() + shown, ", "));
    if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
    return text;
}

}  // namespace

Selection::Selection(const layers::ModelGraph& graph,
                     const std::vector<std::unique_ptr<KernelProvider>>& providers, SelectionOptions options)
    : graph_(&graph), providers_(&providers), options_(options) {
    const std::size_t tensors = graph.tensors().size();
    wants_gradient_.assign(tensors, false);
    root_.resize(tensors);
    for (std::size_t t = 0; t < tensors; ++t) root_[t] = static_cast<layers::TensorId>(t);
    for (const layers::Node& node : graph.nodes()) {
        bool wanted = !node.params.empty();
        for (layers::TensorId input : node.inputs) wanted = wanted || wants_gradient(input);
        wants_gradient_[static_cast<std::size_t>(node.output)] = wanted;
        if (layers::is_view(node.op))
            root_[static_cast<std::size_t>(node.output)] = root_of(node.inputs.front());
    }
}

const Selection::Choice& Selection::choice(layers::NodeId node, std::int64_t batch, bool training) const {
    const Key key{node, batch, training};
    if (const auto found = choices_.find(key); found != choices_.end()) return found->second;

    KernelRequest request;
    request.graph = graph_;
    request.node = node;
    request.batch = batch;
    request.training = training;
    request.input_gradient = false;
    for (layers::TensorId input : graph_->node(node).inputs) {
        request.input_gradient = request.input_gradient || (training && wants_gradient(input));
    }
    request.threads = options_.threads;
    request.workspace_cap = options_.workspace_cap;

    Choice made;
    for (const auto& provider : *providers_) {
        KernelOffer offer = provider->offer(request);
        if (offer.kernels != nullptr) {
            made.provider = provider->name();
            made.kernels = std::move(offer.kernels);
            break;
        }
        made.refusals.push_back(fmt::format("{}: {}", provider->name(), offer.refusal));
    }
    if (made.kernels == nullptr) {
        throw ConfigError(fmt::format("no kernel provider takes node {} ({}) with {} samples: {}",
                                      graph_->node(node).name, layers::name_of(graph_->node(node).op), batch,
                                      fmt::join(made.refusals, "; ")));
    }
    return choices_.emplace(key, std::move(made)).first->second;
}

NodeKernels& Selection::kernels(layers::NodeId node, std::int64_t batch, bool training) const {
    return *choice(node, batch, training).kernels;
}

const std::string& Selection::provider(layers::NodeId node, std::int64_t batch, bool training) const {
    return choice(node, batch, training).provider;
}

const std::vector<std::string>& Selection::refusals(layers::NodeId node, std::int64_t batch,
                                                    bool training) const {
    return choice(node, batch, training).refusals;
}

std::string Selection::str(std::int64_t batch, bool training) const {
    std::string text;
    std::map<std::string, std::vector<std::string>> refused;  // by reason: the nodes
    for (std::size_t i = 0; i < graph_->nodes().size(); ++i) {
        const layers::Node& node = graph_->nodes()[i];
        if (layers::is_view(node.op)) {
            text += fmt::format("  {:<16} view\n", node.name);
            continue;
        }
        const Choice& made = choice(static_cast<layers::NodeId>(i), batch, training);
        text += fmt::format("  {:<16} {} ({})\n", node.name, made.provider, made.kernels->describe());
        for (const std::string& reason : made.refusals) refused[reason].push_back(node.name);
    }
    for (const auto& [reason, nodes] : refused)
        text += fmt::format("  not by {} ({})\n", reason, some_of(nodes));
    return text;
}

}  // namespace trireme
