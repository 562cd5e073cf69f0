#include "kernels_support.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>

#include "layers/reference/reference.hpp"
#include "tests/support/side_op.hpp"

namespace trireme::test {
namespace {

constexpr std::size_t guard_bytes = 64;
constexpr int guard_value = 0x5a;

std::vector<float> uniform(std::mt19937& random, std::int64_t count) {
    std::uniform_real_distribution<float> draw(-1.0F, 1.0F);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = draw(random);
    return values;
}

std::vector<double> widened(const std::vector<float>& values) { return {values.begin(), values.end()}; }
std::vector<std::vector<double>> widened(const std::vector<std::vector<float>>& values) {
    std::vector<std::vector<double>> result;
    for (const std::vector<float>& each : values) result.emplace_back(each.begin(), each.end());
    return result;
}
std::vector<float> narrowed(const std::vector<double>& values) {
    std::vector<float> result;
    for (double value : values) result.push_back(static_cast<float>(value));
    return result;
}

layers::NodeId last_node(const layers::ModelGraph& graph) {
    return static_cast<layers::NodeId>(graph.nodes().size() - 1);
}

std::vector<std::span<const double>> views(const std::vector<std::vector<double>>& values) {
    return {values.begin(), values.end()};
}

std::size_t bytes_of_count(std::size_t count) { return count * sizeof(float); }

}  // namespace

layers::ModelGraph graph_of(const NodeCase& c) {
    const bool loss = layers::is_loss(c.op);
    const bool classes = std::holds_alternative<layers::SoftmaxCrossEntropy>(c.op);
    layers::ModelGraph graph("case", c.input, loss && !classes ? c.input : Shape{},
                             loss && !classes ? DType::f32 : DType::i32);
    std::vector<layers::TensorId> inputs{graph.input()};
    for (std::int64_t channels : c.more_channels) {
        const std::string name = "side" + std::to_string(inputs.size());
        inputs.push_back(graph.add(name, test::side_of(c.op, channels), {graph.input()}));
    }
    if (loss) inputs.push_back(graph.target());
    graph.add("node", c.op, inputs);
    return graph;
}

void GuardedBuffer::Free::operator()(std::byte* p) const { std::free(p); }

GuardedBuffer::GuardedBuffer(std::size_t bytes) : bytes_(bytes) {
    const std::size_t size = (bytes + guard_bytes + 63) / 64 * 64;
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(64, size)));
    poison();
    std::memset(memory_.get() + bytes_, guard_value, guard_bytes);
}

GuardedBuffer::GuardedBuffer(const std::vector<float>& values)
    : GuardedBuffer(bytes_of_count(values.size())) {
    std::copy_n(reinterpret_cast<const std::byte*>(values.data()), bytes_, memory_.get());
}

GuardedBuffer::GuardedBuffer(const std::vector<std::int32_t>& values)
    : GuardedBuffer(bytes_of_count(values.size())) {
    std::copy_n(reinterpret_cast<const std::byte*>(values.data()), bytes_, memory_.get());
}

std::vector<float> GuardedBuffer::floats() const {
    std::vector<float> values(bytes_ / sizeof(float));
    std::copy_n(memory_.get(), bytes_, reinterpret_cast<std::byte*>(values.data()));
    return values;
}

void GuardedBuffer::poison() { std::memset(memory_.get(), 0xff, bytes_); }

bool GuardedBuffer::guard_holds() const {
    return std::all_of(memory_.get() + bytes_, memory_.get() + bytes_ + guard_bytes,
                       [](std::byte b) { return b == std::byte{guard_value}; });
}

Operands::Operands(const layers::ModelGraph& graph, std::int64_t batch, std::uint64_t seed) {
    std::mt19937 random(static_cast<unsigned>(seed));
    const layers::Node& node = graph.nodes().back();
    const bool loss = layers::is_loss(node.op);
    for (layers::TensorId id : node.inputs) {
        if (loss && id == graph.target()) continue;
        inputs.push_back(uniform(random, batch * graph.tensor(id).shape.elements().value));
    }
    for (layers::ParamId id : node.params) {
        params.push_back(uniform(random, graph.param(id).shape.elements().value));
    }
    for (layers::BufferId id : node.buffers) {
        buffers.push_back(uniform(random, graph.buffer(id).shape.elements().value));
        for (float& value : buffers.back()) value = 1.0F + 0.5F * value;
    }
    if (!loss) {
        d_output = uniform(random, batch * graph.tensor(node.output).shape.elements().value);
    } else if (graph.tensor(graph.target()).dtype == DType::f32) {
        targets = uniform(random, static_cast<std::int64_t>(inputs.front().size()));
        for (float& value : targets) value = std::abs(value);
    } else {
        const auto classes = static_cast<unsigned>(graph.tensor(node.inputs.front()).shape[0]);
        for (std::int64_t i = 0; i < batch; ++i) {
            labels.push_back(static_cast<std::int32_t>(random() % classes));
        }
    }
}

KernelRequest request_of(const layers::ModelGraph& graph, std::int64_t batch, int threads) {
    return {.graph = &graph, .node = last_node(graph), .batch = batch, .threads = threads};
}

LaunchMemory::LaunchMemory(const layers::ModelGraph& graph, const Operands& operands,
                           const KernelNeeds& needs, std::int64_t batch, const RunMode& mode)
    : context_(mode.context) {
    const layers::Node& node = graph.nodes().back();
    for (const std::vector<float>& values : operands.inputs) {
        b.inputs.push_back(add(values));
        d_inputs_.push_back(memory_.size());
        b.d_inputs.push_back(add(bytes_of_count(values.size())));
    }
    inputs_ = memory_.size();
    if (!operands.labels.empty()) b.inputs.push_back(add(operands.labels));
    if (!operands.targets.empty()) b.inputs.push_back(add(operands.targets));
    if (b.inputs.size() > b.d_inputs.size()) b.d_inputs.push_back(nullptr);
    for (const std::vector<float>& values : operands.params) {
        b.params.push_back(add(values));
        d_params_.push_back(memory_.size());
        b.d_params.push_back(add(bytes_of_count(values.size())));
    }
    if (!mode.training) {
        for (const std::vector<float>& values : operands.buffers) b.buffers.push_back(add(values));
    }
    output_ = memory_.size();
    b.output = add(
        bytes_of_count(static_cast<std::size_t>(batch * graph.tensor(node.output).shape.elements().value)));
    statistics_ = memory_.size();
    const Shape& input_shape = graph.tensor(node.inputs.front()).shape;
    const std::int64_t statistics = mode.training ? layers::statistics_of(node.op, input_shape) : 0;
    std::byte* statistics_memory = add(bytes_of_count(static_cast<std::size_t>(statistics)));
    if (statistics > 0) b.statistics = statistics_memory;
    if (!operands.d_output.empty()) b.d_output = add(operands.d_output);
    b.saved = add(static_cast<std::size_t>(needs.saved.value));
    b.forward_weights = add(static_cast<std::size_t>(needs.forward_weights.value));
    b.backward_weights = add(static_cast<std::size_t>(needs.backward_weights.value));
    scratch_ = memory_.size();
    b.scratch = add(static_cast<std::size_t>(std::max(needs.forward_scratch, needs.backward_scratch).value));
    if (mode.training) b.context = &context_;
}

void LaunchMemory::poison_what_backward_must_not_read(const KernelNeeds& needs) {
    for (std::size_t input = 0; 2 * input < inputs_; ++input) {
        const bool skipped = (needs.backward_skips_inputs >> input & 1) != 0;
        if (!needs.backward_reads_input || skipped) memory_[2 * input].poison();
    }
    if (!needs.backward_reads_output) memory_[output_].poison();
}

void LaunchMemory::poison_scratch() { memory_[scratch_].poison(); }

Results LaunchMemory::results() const {
    Results results;
    for (std::size_t i : d_inputs_) results.d_inputs.push_back(memory_[i].floats());
    for (std::size_t i : d_params_) results.d_params.push_back(memory_[i].floats());
    results.output = memory_[output_].floats();
    results.statistics = memory_[statistics_].floats();
    results.guards_hold = std::all_of(memory_.begin(), memory_.end(),
                                      [](const GuardedBuffer& buffer) { return buffer.guard_holds(); });
    return results;
}

Results run_kernels(const layers::ModelGraph& graph, const KernelProvider& provider, const Operands& operands,
                    std::int64_t batch, const RunMode& mode) {
    KernelRequest request = request_of(graph, batch, mode.threads);
    request.training = mode.training;
    const auto kernels = provider.offer(request).kernels;
    const KernelNeeds needs = kernels->needs();
    CpuStream stream;
    LaunchMemory memory(graph, operands, needs, batch, mode);
    kernels->pack_forward(stream, memory.b);
    memory.poison_scratch();
    kernels->forward(stream, memory.b);
    Results after_forward = memory.results();
    if (!mode.training) {
        after_forward.d_inputs.clear();
        after_forward.d_params.clear();
        return after_forward;
    }
    memory.poison_what_backward_must_not_read(needs);
    memory.poison_scratch();
    kernels->backward_activation(stream, memory.b);
    for (const bool input : {mode.input_gradient_first, !mode.input_gradient_first}) {
        memory.poison_scratch();
        if (input) {
            kernels->pack_backward(stream, memory.b);
            memory.poison_scratch();
            kernels->backward_input(stream, memory.b);
        } else if (!operands.params.empty()) {
            kernels->backward_weight(stream, memory.b);
        }
    }
    Results results = memory.results();
    results.output = after_forward.output;
    return results;
}

Results run_kernels(const layers::ModelGraph& graph, const KernelProvider& provider, const Operands& operands,
                    std::int64_t batch, int threads) {
    return run_kernels(graph, provider, operands, batch, RunMode{.threads = threads});
}

Results run_reference(const layers::ModelGraph& graph, const Operands& operands, std::int64_t batch,
                      const RunMode& mode) {
    const layers::Node& node = graph.nodes().back();
    std::vector<Shape> shapes;
    for (layers::TensorId id : node.inputs) shapes.push_back(graph.tensor(id).shape);
    const Shape& output_shape = graph.tensor(node.output).shape;
    std::vector<std::vector<double>> inputs = widened(operands.inputs);
    std::vector<std::vector<double>> d_inputs = inputs;
    if (!operands.labels.empty()) inputs.emplace_back(operands.labels.begin(), operands.labels.end());
    if (!operands.targets.empty()) inputs.push_back(widened(operands.targets));
    const std::vector<std::vector<double>> params = widened(operands.params);
    const std::vector<std::vector<double>> buffers = widened(operands.buffers);
    std::vector<std::vector<double>> d_params = params;
    std::vector<double> output(static_cast<std::size_t>(batch * output_shape.elements().value));
    std::vector<double> statistics(
        mode.training ? static_cast<std::size_t>(layers::statistics_of(node.op, shapes.front())) : 0);
    const std::vector<double> d_output = widened(operands.d_output);
    layers::reference::ForwardIo forward;
    forward.inputs = views(inputs);
    forward.params = views(params);
    forward.output = output;
    forward.training = mode.training;
    if (!mode.training) forward.buffers = views(buffers);
    forward.statistics = statistics;
    forward.context = mode.context;
    forward.node_name = node.name;
    layers::reference::forward(node.op, shapes, output_shape, batch, forward);
    Results results;
    results.output = narrowed(output);
    results.statistics = narrowed(statistics);
    if (!mode.training) return results;
    layers::reference::BackwardIo backward;
    backward.inputs = forward.inputs;
    backward.params = forward.params;
    backward.output = output;
    backward.d_output = d_output;
    backward.d_inputs = {d_inputs.begin(), d_inputs.end()};
    if (inputs.size() > d_inputs.size()) backward.d_inputs.emplace_back();
    backward.d_params = {d_params.begin(), d_params.end()};
    backward.training = true;
    backward.context = mode.context;
    backward.node_name = node.name;
    layers::reference::backward(node.op, shapes, output_shape, batch, backward);
    for (const std::vector<double>& gradient : d_inputs) results.d_inputs.push_back(narrowed(gradient));
    for (const std::vector<double>& gradient : d_params) results.d_params.push_back(narrowed(gradient));
    return results;
}

double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
    if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
    double difference = 0;
    double largest = 1e-30;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (std::isnan(a[i]) || std::isnan(b[i])) return std::numeric_limits<double>::infinity();
        difference = std::max(difference, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
        largest = std::max(largest, std::abs(static_cast<double>(b[i])));
    }
    return difference / largest;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

}  // namespace trireme::test
