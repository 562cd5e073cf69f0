#include "tests/parity/kernel_bench.hpp"

#include <algorithm>
#include <cstring>
#include <span>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "layers/reference/reference.hpp"
#include "runtime/core/alignment.hpp"
#include "runtime/core/bfloat16.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/float16.hpp"
#include "runtime/core/philox.hpp"
#include "tests/support/side_op.hpp"

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
std::vector<std::vector<double>> widened(const std::vector<std::vector<float>>& lists) {
    std::vector<std::vector<double>> result;
    for (const std::vector<float>& values : lists) result.push_back(widened(values));
    return result;
}
std::vector<std::vector<double>> widened(const std::vector<Operand>& operands) {
    std::vector<std::vector<double>> result;
    for (const Operand& operand : operands) result.push_back(operand.values());
    return result;
}

float from_half(std::uint16_t half, DType dtype) {
    return dtype == DType::bf16 ? float_of_bf16(half) : float_of_f16(half);
}
std::uint16_t to_half(float value, DType dtype) {
    return dtype == DType::bf16 ? bf16_of_float(value) : f16_of_float(value);
}

/// Device memory of one buffer with a guard behind it. NaN to begin with. It begins at an odd multiple of
/// buffer_alignment, since nobody promises more.
class Guarded {
  public:
    Guarded(Device& device, std::size_t bytes)
        : size_(bytes),
          region_(device.memory(), Bytes(static_cast<std::int64_t>(bytes + guard_bytes) + buffer_alignment)),
          data_(aligned_up(region_.data(), 2 * buffer_alignment) == region_.data()
                    ? region_.data() + buffer_alignment
                    : region_.data()) {
        spoil();
        std::memset(data_ + size_, static_cast<int>(guard_value), guard_bytes);
    }
    template <class T>
    Guarded(Device& device, const std::vector<T>& values) : Guarded(device, values.size() * sizeof(T)) {
        const auto bytes = std::as_bytes(std::span(values));
        std::copy(bytes.begin(), bytes.end(), data_);
    }

    /// All bits set: a NaN in fp32, a wild index in i32.
    void spoil() { std::memset(data_, 0xFF, size_); }

    [[nodiscard]] std::byte* data() const { return data_; }
    [[nodiscard]] std::vector<double> floats(DType dtype = DType::f32) const {
        if (is_half(dtype)) {
            std::vector<double> values;
            for (std::uint16_t half : read<std::uint16_t>())
                values.push_back(static_cast<double>(from_half(half, dtype)));
            return values;
        }
        return widened(read<float>());
    }
    void expect_guard(std::string_view what) const {
        for (std::size_t i = 0; i < guard_bytes; ++i) {
            ASSERT_EQ(data_[size_ + i], guard_value) << what << " was written behind its end";
        }
    }

  private:
    template <class T>
    [[nodiscard]] std::vector<T> read() const {
        std::vector<T> values(size_ / sizeof(T));
        std::copy_n(data_, size_, std::as_writable_bytes(std::span(values)).data());
        return values;
    }

    std::size_t size_;
    Region region_;
    std::byte* data_;
};

std::size_t bytes_of_floats(std::size_t count) { return count * sizeof(float); }
std::size_t bytes_of_floats(std::size_t count, DType dtype) {
    return count * static_cast<std::size_t>(size_of(dtype));
}

/// What is left of values that are stored as `dtype`.
std::vector<float> as_stored(std::vector<float> values, DType dtype) {
    if (!is_half(dtype)) return values;
    for (float& value : values) value = from_half(to_half(value, dtype), dtype);
    return values;
}

Guarded stored(Device& device, const std::vector<float>& values, DType dtype) {
    if (!is_half(dtype)) return {device, values};
    std::vector<std::uint16_t> halves;
    for (float value : values) halves.push_back(to_half(value, dtype));
    return {device, halves};
}
std::size_t bytes_of(Bytes bytes) { return static_cast<std::size_t>(bytes.value); }

/// The node stands last; in front of it are only nodes that make further inputs of the wanted shapes. What
/// these would compute does not matter: the bench gives each tensor values of its own.
layers::ModelGraph graph_of(const OpCase& op_case) {
    const bool vector_loss = layers::is_loss(op_case.op) && layers::input_dtype(op_case.op, 1) == DType::f32;
    std::vector<std::int64_t> target = op_case.input.dims();  // of classes: one at each position
    if (!vector_loss) target.pop_back();
    layers::ModelGraph graph("parity", op_case.input, Shape(std::move(target)),
                             vector_loss ? DType::f32 : DType::i32, layers::input_dtype(op_case.op, 0));
    std::vector<layers::TensorId> inputs{graph.input()};
    if (is_half(op_case.input_dtype) && layers::input_dtype(op_case.op, 0) == DType::f32) {
        inputs.front() = graph.add("front", layers::Relu{}, {graph.input()});
        graph.store_as(inputs.front(), op_case.input_dtype);
    }
    for (const Shape& more : op_case.more_inputs) {
        const layers::Op side = test::side_of(op_case.op, more.dims().back());
        inputs.push_back(graph.add(fmt::format("side{}", inputs.size()), side, {graph.input()}));
        graph.store_as(inputs.back(), op_case.more_dtype.value_or(op_case.input_dtype));
    }
    if (layers::is_loss(op_case.op)) inputs.push_back(graph.target());
    const layers::TensorId output = graph.add("op", op_case.op, inputs);
    graph.store_as(output, op_case.output_dtype);
    return graph;
}

/// How many classes, or symbols, there are.
std::uint64_t indices_of(const OpCase& op_case) {
    const auto* table = std::get_if<layers::Embedding>(&op_case.op);
    return static_cast<std::uint64_t>(table != nullptr ? table->vocabulary : op_case.input.dims().back());
}

Operand operand_of(const OpCase& op_case, std::size_t index, const Shape& shape, std::int64_t batch) {
    const std::int64_t count = shape.elements().value * batch;
    const std::string purpose = fmt::format("input/{}", index);
    if (layers::input_dtype(op_case.op, index) == DType::i32) {
        const RandomStream labels(11, "target");
        Operand target;
        for (std::int64_t n = 0; n < count; ++n) {
            target.classes.push_back(
                static_cast<std::int32_t>(labels.below(static_cast<std::uint64_t>(n), indices_of(op_case))));
        }
        return target;
    }
    if (!layers::is_loss(op_case.op) || index == 0)
        return {random_floats(purpose, count, op_case.values), {}};
    std::vector<float> target = random_floats(purpose, count, Values::plain);
    for (float& t : target) t = 0.5f * (1 + t);  // a probability
    return {target, {}};
}

}  // namespace

std::vector<double> Operand::values() const {
    if (!classes.empty()) return {classes.begin(), classes.end()};
    return widened(floats);
}

KernelBench::KernelBench(Backend& backend, const KernelProvider& provider, const OpCase& op_case,
                         std::int64_t batch, int threads)
    : backend_(backend),
      provider_(provider),
      case_(op_case),
      batch_(batch),
      threads_(threads),
      graph_(graph_of(op_case)) {
    const std::vector<Shape> shapes = input_shapes();
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        inputs_.push_back(operand_of(op_case, i, shapes[i], batch));
        inputs_.back().floats = as_stored(std::move(inputs_.back().floats), dtype_of(node().inputs[i]));
    }
    for (layers::ParamId id : node().params) {
        const layers::ParamSpec& spec = graph_.param(id);
        params_.push_back(as_stored(random_floats(spec.name, spec.shape.elements().value, Values::plain),
                                    op_case.param_values));
    }
    for (layers::BufferId id : node().buffers) {
        const layers::BufferSpec& spec = graph_.buffer(id);
        buffers_.push_back(random_floats(spec.name, spec.shape.elements().value, Values::plain));
        for (float& v : buffers_.back()) v += 1.5f;  // a variance is positive
    }
    statistics_ = static_cast<std::size_t>(layers::statistics_of(op_case.op, op_case.input));
    d_output_ = as_stored(random_floats("d_output", output_shape().elements().value * batch, Values::plain),
                          dtype_of(node().output));
}

std::vector<Shape> KernelBench::input_shapes() const {
    std::vector<Shape> shapes;
    for (layers::TensorId id : node().inputs) shapes.push_back(graph_.tensor(id).shape);
    return shapes;
}

bool KernelBench::fused() const { return layers::activation_of(case_.op) != layers::Activation::none; }

KernelRequest KernelBench::request(bool training, bool input_gradient) const {
    KernelRequest r;
    r.graph = &graph_;
    r.node = static_cast<layers::NodeId>(graph_.nodes().size() - 1);
    r.batch = batch_;
    r.training = training;
    r.input_gradient = input_gradient;
    r.threads = threads_;
    return r;
}

std::string KernelBench::refusal() const { return provider_.offer(request(true, true)).refusal; }
std::string KernelBench::describe() const { return provider_.offer(request(true, true)).kernels->describe(); }
KernelNeeds KernelBench::needs() const { return provider_.offer(request(true, true)).kernels->needs(); }
Results KernelBench::train(const RunOptions& options) { return run(request(true, true), options); }
Results KernelBench::infer() { return run(request(false, false)); }
Results KernelBench::train_first_layer() { return run(request(true, false)); }

Results KernelBench::run(const KernelRequest& r, const RunOptions& options) {
    const KernelOffer offer = provider_.offer(r);
    if (offer.kernels == nullptr) {
        throw InternalError(fmt::format("{} takes the node in training and refuses it here: {}",
                                        provider_.name(), offer.refusal));
    }
    const std::unique_ptr<NodeKernels>& kernels = offer.kernels;
    const KernelNeeds needs = kernels->needs();
    Device& device = *backend_.device;
    const std::unique_ptr<Stream> stream = device.make_stream();

    std::vector<Guarded> inputs;
    std::vector<Guarded> params;
    std::vector<Guarded> buffers;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
        if (inputs_[i].classes.empty()) {
            inputs.push_back(stored(device, inputs_[i].floats, dtype_of(node().inputs[i])));
        } else {
            inputs.emplace_back(device, inputs_[i].classes);
        }
    }
    for (const std::vector<float>& values : params_) params.emplace_back(device, values);
    for (const std::vector<float>& values : buffers_) buffers.emplace_back(device, values);
    Guarded output(device, bytes_of_floats(d_output_.size(), dtype_of(node().output)));
    Guarded statistics(device, bytes_of_floats(statistics_));
    Guarded saved(device, bytes_of(needs.saved));
    Guarded forward_weights(device, bytes_of(needs.forward_weights));
    Guarded backward_weights(device, bytes_of(needs.backward_weights));

    KernelBuffers b;
    for (const Guarded& input : inputs) b.inputs.push_back(input.data());
    for (const Guarded& param : params) b.params.push_back(param.data());
    b.output = options.forward_in_place ? inputs.front().data() : output.data();
    b.saved = saved.data();
    b.forward_weights = forward_weights.data();
    b.backward_weights = backward_weights.data();
    if (r.training) {
        b.statistics = statistics_ > 0 ? statistics.data() : nullptr;
        b.context = &context_;
    } else {
        for (const Guarded& buffer : buffers) b.buffers.push_back(buffer.data());
    }

    Results results;
    {
        Guarded scratch(device, bytes_of(needs.forward_scratch));
        b.scratch = scratch.data();
        kernels->pack_forward(*stream, b);
        stream->synchronize();  // the host spoils what a device may still be reading
        scratch.spoil();
        kernels->forward(*stream, b);
        stream->synchronize();
        scratch.expect_guard("forward scratch");
    }
    for (const Guarded* buffer : {&output, &statistics, &saved, &forward_weights})
        buffer->expect_guard("what forward wrote");
    const Guarded& written = options.forward_in_place ? inputs.front() : output;
    results.output = written.floats(dtype_of(node().output));
    if (!r.training) return results;
    results.statistics = statistics.floats();

    for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (i == 0 && options.forward_in_place) continue;
        if (!needs.backward_reads_input || (needs.backward_skips_inputs >> i & 1) != 0) inputs[i].spoil();
    }
    forward_weights.spoil();
    if (!needs.backward_reads_output) output.spoil();
    statistics.spoil();
    run_backward(*kernels, *stream, b, r.input_gradient, options, results);
    for (const std::vector<Guarded>* group : {&inputs, &params, &buffers}) {
        for (const Guarded& buffer : *group) buffer.expect_guard("an operand");
    }
    for (const Guarded* buffer : {&output, &saved, &backward_weights})
        buffer->expect_guard("what backward reads");
    return results;
}

void KernelBench::run_backward(NodeKernels& kernels, Stream& stream, KernelBuffers& b, bool input_gradient,
                               const RunOptions& options, Results& results) const {
    Device& device = *backend_.device;
    Guarded d_output = stored(device, d_output_, dtype_of(node().output));
    Guarded scratch(device, bytes_of(kernels.needs().backward_scratch));
    std::vector<Guarded> d_inputs;
    std::vector<Guarded> d_params;
    for (std::size_t i = 0; i < gradients(); ++i) {
        d_inputs.emplace_back(device, bytes_of_floats(inputs_[i].floats.size(), dtype_of(node().inputs[i])));
        b.d_inputs.push_back(input_gradient ? d_inputs.back().data() : nullptr);
    }
    if (is_loss()) b.d_inputs.push_back(nullptr);
    for (const std::vector<float>& values : params_) {
        d_params.emplace_back(device, bytes_of_floats(values.size()));
        b.d_params.push_back(d_params.back().data());
    }
    b.scratch = scratch.data();
    b.d_output = is_loss() ? nullptr : d_output.data();
    const auto in_place = static_cast<std::size_t>(options.backward_in_place);
    if (options.backward_in_place >= 0) b.d_inputs.at(in_place) = b.d_output;

    if (fused()) kernels.backward_activation(stream, b);
    for (const bool input : {options.input_gradient_first, !options.input_gradient_first}) {
        stream.synchronize();
        scratch.spoil();
        if (input && input_gradient) {
            kernels.pack_backward(stream, b);
            stream.synchronize();
            scratch.spoil();
            kernels.backward_input(stream, b);
        } else if (!input && !params_.empty()) {
            kernels.backward_weight(stream, b);
        }
    }
    stream.synchronize();

    d_output.expect_guard("the gradient of the output");
    scratch.expect_guard("backward scratch");
    for (const Guarded& d_param : d_params) {
        d_param.expect_guard("a parameter gradient");
        results.d_params.push_back(d_param.floats());
    }
    for (std::size_t i = 0; i < d_inputs.size(); ++i) {
        d_inputs[i].expect_guard("an input gradient");
        const bool shared = options.backward_in_place >= 0 && i == in_place;
        const Guarded& gradient = shared ? d_output : d_inputs[i];
        if (input_gradient) results.d_inputs.push_back(gradient.floats(dtype_of(node().inputs[i])));
    }
}

std::vector<double> KernelBench::reference_inference() const {
    const std::vector<std::vector<double>> inputs = widened(inputs_);
    const std::vector<std::vector<double>> params = widened(params_);
    const std::vector<std::vector<double>> buffers = widened(buffers_);
    std::vector<double> output(d_output_.size());
    layers::reference::forward(case_.op, input_shapes(), output_shape(), batch_,
                               {.inputs = {inputs.begin(), inputs.end()},
                                .params = {params.begin(), params.end()},
                                .output = output,
                                .buffers = {buffers.begin(), buffers.end()}});
    return output;
}

Results KernelBench::reference(const std::vector<double>& output) const {
    const std::vector<std::vector<double>> inputs = widened(inputs_);
    const std::vector<std::vector<double>> params = widened(params_);
    const std::vector<double> d_output = widened(d_output_);
    Results results;
    results.output.resize(d_output_.size());
    results.statistics.resize(statistics_);
    for (std::size_t i = 0; i < gradients(); ++i) results.d_inputs.emplace_back(inputs[i].size());
    for (const std::vector<double>& values : params) results.d_params.emplace_back(values.size());
    layers::reference::forward(case_.op, input_shapes(), output_shape(), batch_,
                               {.inputs = {inputs.begin(), inputs.end()},
                                .params = {params.begin(), params.end()},
                                .output = results.output,
                                .training = true,
                                .statistics = results.statistics,
                                .context = context_,
                                .node_name = node().name});
    layers::reference::backward(
        case_.op, input_shapes(), output_shape(), batch_,
        {.inputs = {inputs.begin(), inputs.end()},
         .params = {params.begin(), params.end()},
         .output = output,
         .d_output = is_loss() ? std::span<const double>{} : std::span<const double>(d_output),
         .d_inputs = {results.d_inputs.begin(), results.d_inputs.end()},
         .d_params = {results.d_params.begin(), results.d_params.end()},
         .training = true,
         .context = context_,
         .node_name = node().name});
    return results;
}

}  // namespace trireme::parity
