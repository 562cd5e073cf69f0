#include <algorithm>
#include <numeric>

#include "layers/reference/reference.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers::reference {
namespace {

std::vector<Shape> input_shapes(const ModelGraph& graph, const Node& node) {
    std::vector<Shape> shapes;
    for (TensorId id : node.inputs) shapes.push_back(graph.tensor(id).shape);
    return shapes;
}

template <class Id>
std::vector<std::span<const double>> views(const std::vector<std::vector<double>>& values,
                                           const std::vector<Id>& ids) {
    std::vector<std::span<const double>> spans;
    spans.reserve(ids.size());
    for (Id id : ids) spans.emplace_back(values[static_cast<std::size_t>(id)]);
    return spans;
}

void add_to(std::vector<double>& sum, const std::vector<double>& term) {
    for (std::size_t i = 0; i < term.size(); ++i) sum[i] += term[i];
}

std::vector<std::vector<double>> zeros_like(const std::vector<std::vector<double>>& values) {
    std::vector<std::vector<double>> zeros;
    zeros.reserve(values.size());
    for (const std::vector<double>& value : values) zeros.emplace_back(value.size(), 0.0);
    return zeros;
}

}  // namespace

Model::Model(const ModelGraph& graph)
    : graph_(&graph), statistics_(graph.nodes().size()), values_(graph.tensors().size()) {
    for (const ParamSpec& spec : graph.params()) {
        params_.emplace_back(static_cast<std::size_t>(spec.shape.elements().value), 0.0);
    }
    param_gradients_ = params_;
    for (const BufferSpec& spec : graph.buffers()) {
        buffers_.emplace_back(static_cast<std::size_t>(spec.shape.elements().value), spec.start);
    }
}

std::span<double> Model::param(ParamId id) { return params_.at(static_cast<std::size_t>(id)); }

std::span<double> Model::buffer(BufferId id) { return buffers_.at(static_cast<std::size_t>(id)); }

std::span<const double> Model::statistics(NodeId id) const {
    return statistics_.at(static_cast<std::size_t>(id));
}

std::span<const double> Model::param_gradient(ParamId id) const {
    return param_gradients_.at(static_cast<std::size_t>(id));
}

std::span<const double> Model::value(TensorId id) const { return values_.at(static_cast<std::size_t>(id)); }

std::span<const double> Model::input_gradient() const { return input_gradient_; }

void Model::forward(std::int64_t batch, std::span<const double> x, std::span<const double> target,
                    const Mode& mode) {
    batch_ = batch;
    mode_ = mode;
    for (std::size_t t = 0; t < values_.size(); ++t) {
        values_[t].assign(static_cast<std::size_t>(graph_->tensors()[t].shape.elements().value * batch), 0.0);
    }
    std::vector<double>& input = values_[static_cast<std::size_t>(graph_->input())];
    std::vector<double>& targets = values_[static_cast<std::size_t>(graph_->target())];
    ensure(x.size() == input.size(), "reference: x has batch times the input's elements");
    ensure(target.size() == targets.size(), "reference: target has batch times the target's elements");
    std::copy(x.begin(), x.end(), input.begin());
    std::copy(target.begin(), target.end(), targets.begin());
    for (std::size_t n = 0; n < graph_->nodes().size(); ++n) {
        const Node& node = graph_->nodes()[n];
        const std::vector<Shape> shapes = input_shapes(*graph_, node);
        statistics_[n].assign(static_cast<std::size_t>(statistics_of(node.op, shapes.front())), 0.0);
        reference::forward(node.op, shapes, graph_->tensor(node.output).shape, batch,
                           {views(values_, node.inputs), views(params_, node.params),
                            values_[static_cast<std::size_t>(node.output)], mode.training,
                            views(buffers_, node.buffers), statistics_[n], mode.context, node.name});
    }
}

void Model::backward() {
    std::vector<std::vector<double>> gradients = zeros_like(values_);
    param_gradients_ = zeros_like(params_);
    std::vector<double>& d_loss = gradients[static_cast<std::size_t>(graph_->loss())];
    std::fill(d_loss.begin(), d_loss.end(), 1.0);

    for (auto node = graph_->nodes().rbegin(); node != graph_->nodes().rend(); ++node) {
        // A tensor with several readers and a parameter with several uses get the sum of what each gives.
        std::vector<std::vector<double>> d_inputs;
        std::vector<std::vector<double>> d_params;
        for (TensorId id : node->inputs)
            d_inputs.emplace_back(values_[static_cast<std::size_t>(id)].size(), 0.0);
        for (ParamId id : node->params)
            d_params.emplace_back(params_[static_cast<std::size_t>(id)].size(), 0.0);
        const auto output = static_cast<std::size_t>(node->output);
        reference::backward(node->op, input_shapes(*graph_, *node), graph_->tensor(node->output).shape,
                            batch_,
                            {views(values_, node->inputs),
                             views(params_, node->params),
                             values_[output],
                             gradients[output],
                             {d_inputs.begin(), d_inputs.end()},
                             {d_params.begin(), d_params.end()},
                             mode_.training,
                             views(buffers_, node->buffers),
                             mode_.context,
                             node->name});
        for (std::size_t i = 0; i < d_inputs.size(); ++i) {
            add_to(gradients[static_cast<std::size_t>(node->inputs[i])], d_inputs[i]);
        }
        for (std::size_t i = 0; i < d_params.size(); ++i) {
            add_to(param_gradients_[static_cast<std::size_t>(node->params[i])], d_params[i]);
        }
    }
    input_gradient_ = std::move(gradients[static_cast<std::size_t>(graph_->input())]);
}

void Model::update_buffers() {
    ensure(mode_.training && batch_ > 0, "reference: running statistics come from a forward in training");
    for (std::size_t n = 0; n < graph_->nodes().size(); ++n) {
        const Node& node = graph_->nodes()[n];
        std::span<const double> statistics = statistics_[n];
        const std::vector<NormSpec> norms = norms_of(node.op, graph_->tensor(node.inputs.front()).shape);
        for (std::size_t i = 0; i < norms.size(); ++i) {
            update_running(norms[i], statistics, buffer(node.buffers.at(2 * i)),
                           buffer(node.buffers.at(2 * i + 1)));
            statistics = statistics.subspan(static_cast<std::size_t>(norms[i].statistics()));
        }
    }
}

void Model::update_running(const NormSpec& norm, std::span<const double> statistics, std::span<double> mean,
                           std::span<double> variance) const {
    const auto channels = static_cast<std::size_t>(norm.channels);
    const auto values = static_cast<double>(norm.positions * batch_);
    for (std::size_t c = 0; c < channels; ++c) {
        const double batch_mean = statistics[c] / values;
        const double batch_variance = statistics[channels + c] / values +
                                      statistics[2 * channels + c] / values - batch_mean * batch_mean;
        mean[c] = (1 - norm.momentum) * mean[c] + norm.momentum * batch_mean;
        variance[c] = (1 - norm.momentum) * variance[c] + norm.momentum * batch_variance;
    }
}

double Model::loss_sum() const {
    const std::vector<double>& losses = values_[static_cast<std::size_t>(graph_->loss())];
    return std::accumulate(losses.begin(), losses.end(), 0.0);
}

}  // namespace trireme::layers::reference
