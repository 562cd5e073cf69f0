#include "kernels_support.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>

#include "layers/reference/reference.hpp"

namespace trireme::testing {
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
std::vector<float> narrowed(const std::vector<double>& values) {
    std::vector<float> result;
    for (double value : values) result.push_back(static_cast<float>(value));
    return result;
}

std::size_t bytes_of_count(std::size_t count) { return count * sizeof(float); }

}  // namespace

layers::ModelGraph graph_of(const NodeCase& c) {
    layers::ModelGraph graph("case", c.input, Shape{}, DType::i32);
    std::vector<layers::TensorId> inputs{graph.input()};
    if (std::holds_alternative<layers::SoftmaxCrossEntropy>(c.op)) inputs.push_back(graph.target());
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
    const layers::Node& node = graph.nodes().front();
    const Shape& shape = graph.tensor(graph.input()).shape;
    input = uniform(random, batch * shape.elements().value);
    for (layers::ParamId id : node.params) {
        params.push_back(uniform(random, graph.param(id).shape.elements().value));
    }
    if (node.inputs.size() == 2) {
        for (std::int64_t i = 0; i < batch; ++i) {
            labels.push_back(static_cast<std::int32_t>(random() % static_cast<unsigned>(shape[0])));
        }
    } else {
        d_output = uniform(random, batch * graph.tensor(node.output).shape.elements().value);
    }
}

KernelRequest request_of(const layers::ModelGraph& graph, std::int64_t batch, int threads) {
    return {.graph = &graph, .node = 0, .batch = batch, .threads = threads};
}

Results run_kernels(const layers::ModelGraph& graph, const KernelProvider& provider, const Operands& operands,
                    std::int64_t batch, int threads) {
    const auto kernels = provider.make(request_of(graph, batch, threads));
    const KernelNeeds needs = kernels->needs();
    CpuStream stream;
    const auto scratch_size =
        static_cast<std::size_t>(std::max(needs.forward_scratch, needs.backward_scratch).value);
    const layers::Node& node = graph.nodes().front();
    GuardedBuffer input(operands.input);
    GuardedBuffer labels(operands.labels);
    const std::int64_t outputs = batch * graph.tensor(node.output).shape.elements().value;
    GuardedBuffer output(bytes_of_count(static_cast<std::size_t>(outputs)));
    GuardedBuffer saved(static_cast<std::size_t>(needs.saved.value));
    GuardedBuffer scratch(scratch_size);
    GuardedBuffer d_output(operands.d_output);
    GuardedBuffer d_input(bytes_of_count(operands.input.size()));
    std::vector<GuardedBuffer> params;
    std::vector<GuardedBuffer> d_params;
    KernelBuffers b;
    b.inputs = {input.data()};
    b.d_inputs = {d_input.data()};
    if (!operands.labels.empty()) {
        b.inputs.push_back(labels.data());
        b.d_inputs.push_back(nullptr);
    }
    for (const std::vector<float>& values : operands.params) {
        b.params.push_back(params.emplace_back(values).data());
        b.d_params.push_back(d_params.emplace_back(bytes_of_count(values.size())).data());
    }
    b.output = output.data();
    b.d_output = operands.d_output.empty() ? nullptr : d_output.data();
    b.saved = saved.data();
    b.scratch = scratch.data();

    Results results;
    kernels->forward(stream, b);
    results.output = output.floats();
    if (!needs.backward_reads_input) input.poison();
    if (!needs.backward_reads_output) output.poison();
    scratch.poison();
    kernels->backward_activation(stream, b);
    scratch.poison();
    if (!operands.params.empty()) kernels->backward_weight(stream, b);
    scratch.poison();
    kernels->backward_input(stream, b);
    results.d_input = d_input.floats();
    for (const GuardedBuffer& gradient : d_params) results.d_params.push_back(gradient.floats());
    for (const GuardedBuffer* buffer : {&input, &labels, &output, &saved, &scratch, &d_output, &d_input}) {
        results.guards_hold = results.guards_hold && buffer->guard_holds();
    }
    for (const GuardedBuffer& gradient : d_params) {
        results.guards_hold = results.guards_hold && gradient.guard_holds();
    }
    return results;
}

Results run_reference(const layers::ModelGraph& graph, const Operands& operands, std::int64_t batch) {
    const layers::Node& node = graph.nodes().front();
    std::vector<Shape> shapes;
    for (layers::TensorId id : node.inputs) shapes.push_back(graph.tensor(id).shape);
    const Shape& output_shape = graph.tensor(node.output).shape;
    const std::vector<double> input = widened(operands.input);
    const std::vector<double> labels(operands.labels.begin(), operands.labels.end());
    std::vector<std::vector<double>> params;
    std::vector<std::vector<double>> d_params;
    for (const std::vector<float>& values : operands.params) {
        params.push_back(widened(values));
        d_params.emplace_back(values.size());
    }
    std::vector<double> output(static_cast<std::size_t>(batch * output_shape.elements().value));
    const std::vector<double> d_output = widened(operands.d_output);
    std::vector<double> d_input(input.size());
    layers::reference::ForwardIo forward;
    forward.inputs = {input};
    if (!labels.empty()) forward.inputs.emplace_back(labels);
    forward.params = {params.begin(), params.end()};
    forward.output = output;
    layers::reference::forward(node.op, shapes, output_shape, batch, forward);
    layers::reference::BackwardIo backward;
    backward.inputs = forward.inputs;
    backward.params = forward.params;
    backward.output = output;
    backward.d_output = d_output;
    backward.d_inputs = {d_input};
    if (!labels.empty()) backward.d_inputs.emplace_back();
    backward.d_params = {d_params.begin(), d_params.end()};
    layers::reference::backward(node.op, shapes, output_shape, batch, backward);
    Results results{.output = narrowed(output), .d_input = narrowed(d_input), .d_params = {}};
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
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace trireme::testing
