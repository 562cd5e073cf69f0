#include "tests/parity/kernel_bench.hpp"

#include <algorithm>
#include <cstring>
#include <span>

#include <gtest/gtest.h>

#include "layers/reference/reference.hpp"
#include "runtime/core/philox.hpp"

namespace trireme::parity {
namespace {

constexpr std::size_t guard_bytes = 256;
constexpr std::byte guard_value{0xA5};

std::vector<float> random_floats(std::string_view purpose, std::int64_t count, Values values) {
    const RandomStream stream(11, purpose);
    std::vector<float> floats;
    for (std::int64_t i = 0; i < count; ++i) {
        const auto index = static_cast<std::uint64_t>(i);
        const float unit = 2 * stream.uniform(index) - 1;
        switch (values) {
            case Values::plain:
                floats.push_back(unit);
                break;
            case Values::tied:
                floats.push_back(static_cast<float>(stream.below(index, 5)) - 2.0f);
                break;
            case Values::large:
                floats.push_back(50 * unit);
                break;
        }
    }
    return floats;
}

std::vector<double> widened(const std::vector<float>& values) { return {values.begin(), values.end()}; }

/// Device memory of one buffer with a guard behind it. NaN to begin with.
class Guarded {
  public:
    Guarded(Device& device, std::size_t bytes)
        : size_(bytes), region_(device.memory(), Bytes(static_cast<std::int64_t>(bytes + guard_bytes))) {
        spoil();
        std::memset(region_.data() + size_, static_cast<int>(guard_value), guard_bytes);
    }
    template <class T>
    Guarded(Device& device, const std::vector<T>& values) : Guarded(device, values.size() * sizeof(T)) {
        const auto bytes = std::as_bytes(std::span(values));
        std::copy(bytes.begin(), bytes.end(), region_.data());
    }

    /// All bits set: a NaN in fp32, a wild index in i32.
    void spoil() { std::memset(region_.data(), 0xFF, size_); }

    [[nodiscard]] std::byte* data() const { return region_.data(); }
    [[nodiscard]] std::vector<double> floats() const {
        std::vector<float> values(size_ / sizeof(float));
        std::copy_n(region_.data(), size_, std::as_writable_bytes(std::span(values)).data());
        return widened(values);
    }
    void expect_guard(std::string_view what) const {
        for (std::size_t i = 0; i < guard_bytes; ++i) {
            ASSERT_EQ(region_.data()[size_ + i], guard_value) << what << " was written behind its end";
        }
    }

  private:
    std::size_t size_;
    Region region_;
};

std::size_t bytes_of_floats(std::size_t count) { return count * sizeof(float); }
std::size_t bytes_of(Bytes bytes) { return static_cast<std::size_t>(bytes.value); }

layers::ModelGraph graph_of(const OpCase& op_case) {
    layers::ModelGraph graph("parity", op_case.input, {}, DType::i32);
    std::vector<layers::TensorId> inputs{graph.input()};
    if (layers::input_count(op_case.op) == 2) inputs.push_back(graph.target());
    graph.add("op", op_case.op, inputs);
    return graph;
}

}  // namespace

KernelBench::KernelBench(Backend& backend, const KernelProvider& provider, const OpCase& op_case,
                         std::int64_t batch, int threads)
    : backend_(backend),
      provider_(provider),
      case_(op_case),
      batch_(batch),
      threads_(threads),
      graph_(graph_of(op_case)) {
    input_ = random_floats("input", op_case.input.elements().value * batch, op_case.values);
    for (const layers::ParamSpec& spec : graph_.params()) {
        params_.push_back(random_floats(spec.name, spec.shape.elements().value, Values::plain));
    }
    d_output_ = random_floats("d_output", output_shape().elements().value * batch, Values::plain);
    if (is_loss()) {
        const RandomStream labels(11, "target");
        for (std::int64_t n = 0; n < batch; ++n) {
            target_.push_back(static_cast<std::int32_t>(
                labels.below(static_cast<std::uint64_t>(n), static_cast<std::uint64_t>(op_case.input[0]))));
        }
    }
}

bool KernelBench::is_loss() const { return std::holds_alternative<layers::SoftmaxCrossEntropy>(case_.op); }
Shape KernelBench::output_shape() const { return graph_.tensor(graph_.node(0).output).shape; }

KernelRequest KernelBench::request(bool training, bool input_gradient) const {
    KernelRequest r;
    r.graph = &graph_;
    r.node = 0;
    r.batch = batch_;
    r.training = training;
    r.input_gradient = input_gradient;
    r.threads = threads_;
    return r;
}

std::optional<std::string> KernelBench::refusal() const { return provider_.refuses(request(true, true)); }
std::string KernelBench::describe() const { return provider_.make(request(true, true))->describe(); }
Results KernelBench::train() { return run(request(true, true)); }
Results KernelBench::infer() { return run(request(false, false)); }
Results KernelBench::train_first_layer() { return run(request(true, false)); }

Results KernelBench::run(const KernelRequest& r) {
    const std::unique_ptr<NodeKernels> kernels = provider_.make(r);
    const KernelNeeds needs = kernels->needs();
    Device& device = *backend_.device;
    const std::unique_ptr<Stream> stream = device.make_stream();

    Guarded input(device, input_);
    Guarded target(device, target_);
    Guarded output(device, bytes_of_floats(d_output_.size()));
    Guarded d_output(device, d_output_);
    Guarded d_input(device, bytes_of_floats(input_.size()));
    Guarded saved(device, bytes_of(needs.saved));
    std::vector<Guarded> params;
    std::vector<Guarded> d_params;
    for (const std::vector<float>& values : params_) {
        params.emplace_back(device, values);
        d_params.emplace_back(device, bytes_of_floats(values.size()));
    }
    KernelBuffers b;
    b.inputs.push_back(input.data());
    if (is_loss()) b.inputs.push_back(target.data());
    for (const Guarded& param : params) b.params.push_back(param.data());
    b.output = output.data();
    b.saved = saved.data();

    Results results;
    {
        Guarded scratch(device, bytes_of(needs.forward_scratch));
        b.scratch = scratch.data();
        kernels->forward(*stream, b);
        stream->synchronize();
        scratch.expect_guard("forward scratch");
    }
    results.output = output.floats();
    if (!r.training) return results;

    if (!needs.backward_reads_input) input.spoil();
    if (!needs.backward_reads_output) output.spoil();
    Guarded scratch(device, bytes_of(needs.backward_scratch));
    b.scratch = scratch.data();
    b.d_output = is_loss() ? nullptr : d_output.data();
    for (const Guarded& d_param : d_params) b.d_params.push_back(d_param.data());
    b.d_inputs.push_back(r.input_gradient ? d_input.data() : nullptr);
    if (is_loss()) b.d_inputs.push_back(nullptr);
    const bool fused = std::visit(
        [](const auto& op) {
            if constexpr (requires { op.activation; }) return op.activation != layers::Activation::none;
            return false;
        },
        case_.op);
    if (fused) kernels->backward_activation(*stream, b);
    scratch.spoil();
    if (!params.empty()) kernels->backward_weight(*stream, b);
    scratch.spoil();
    if (r.input_gradient) kernels->backward_input(*stream, b);
    stream->synchronize();

    for (const Guarded* buffer : {&input, &target, &output, &d_output, &d_input, &saved, &scratch}) {
        buffer->expect_guard("a buffer of the op");
    }
    for (const Guarded& d_param : d_params) {
        d_param.expect_guard("a parameter gradient");
        results.d_params.push_back(d_param.floats());
    }
    if (r.input_gradient) results.d_input = d_input.floats();
    return results;
}

Results KernelBench::reference(const std::vector<double>& output) const {
    std::vector<std::vector<double>> inputs{widened(input_)};
    std::vector<Shape> shapes{case_.input};
    if (is_loss()) {
        inputs.emplace_back(target_.begin(), target_.end());
        shapes.emplace_back();
    }
    std::vector<std::vector<double>> params;
    Results results;
    for (const std::vector<float>& values : params_) {
        params.push_back(widened(values));
        results.d_params.emplace_back(values.size());
    }
    results.output.resize(d_output_.size());
    results.d_input.resize(input_.size());
    const std::vector<double> d_output = widened(d_output_);
    layers::reference::forward(
        case_.op, shapes, output_shape(), batch_,
        {{inputs.begin(), inputs.end()}, {params.begin(), params.end()}, results.output});
    layers::reference::backward(case_.op, shapes, output_shape(), batch_,
                                {{inputs.begin(), inputs.end()},
                                 {params.begin(), params.end()},
                                 output,
                                 is_loss() ? std::span<const double>{} : std::span<const double>(d_output),
                                 {results.d_input},
                                 {results.d_params.begin(), results.d_params.end()}});
    return results;
}

}  // namespace trireme::parity
