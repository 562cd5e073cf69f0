#include "runtime/kernels/reference/reference_provider.hpp"

#include <cstring>
#include <type_traits>

#include "layers/reference/reference.hpp"
#include "runtime/core/bfloat16.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/float16.hpp"
#include "runtime/kernels/loss_gradient.hpp"

namespace trireme {
namespace {

/// The op without its fused activation: backward_activation has already taken it out of d_output.
layers::Op without_activation(layers::Op op) {
    std::visit(
        [](auto& o) {
            if constexpr (requires { o.activation; }) o.activation = layers::Activation::none;
        },
        op);
    return op;
}

/// Reads memory of a tensor element by element as doubles.
void widen(const std::byte* from, DType dtype, std::span<double> to) {
    for (std::size_t i = 0; i < to.size(); ++i) {
        if (dtype == DType::i32) {
            std::int32_t value = 0;
            std::memcpy(&value, from + i * sizeof(value), sizeof(value));
            to[i] = value;
        } else if (is_half(dtype)) {
            std::uint16_t value = 0;
            std::memcpy(&value, from + i * sizeof(value), sizeof(value));
            to[i] = static_cast<double>(dtype == DType::bf16 ? float_of_bf16(value) : float_of_f16(value));
        } else {
            float value = 0;
            std::memcpy(&value, from + i * sizeof(value), sizeof(value));
            to[i] = static_cast<double>(value);
        }
    }
}

void narrow(std::span<const double> from, std::byte* to, DType dtype = DType::f32) {
    for (std::size_t i = 0; i < from.size(); ++i) {
        const auto value = static_cast<float>(from[i]);
        if (is_half(dtype)) {
            const std::uint16_t half = dtype == DType::bf16 ? bf16_of_float(value) : f16_of_float(value);
            std::memcpy(to + i * sizeof(half), &half, sizeof(half));
        } else {
            std::memcpy(to + i * sizeof(value), &value, sizeof(value));
        }
    }
}

/// Scratch holds a double for each element of every tensor that the node touches: inputs, parameters, buffers
/// (in evaluation), output, statistics, then, for backward, gradients of inputs, parameters and output.
class ReferenceKernels final : public NodeKernels {
  public:
    explicit ReferenceKernels(const KernelRequest& r)
        : name_(r.graph->node(r.node).name),
          op_(r.graph->node(r.node).op),
          plain_(without_activation(op_)),
          batch_(r.batch),
          training_(r.training) {
        const layers::Node& node = r.graph->node(r.node);
        for (layers::TensorId id : node.inputs) {
            const layers::TensorSpec& tensor = r.graph->tensor(id);
            input_shapes_.push_back(tensor.shape);
            input_types_.push_back(tensor.dtype);
            input_sizes_.push_back(static_cast<std::size_t>(tensor.shape.elements().value * batch_));
        }
        for (layers::ParamId id : node.params) {
            param_sizes_.push_back(static_cast<std::size_t>(r.graph->param(id).shape.elements().value));
        }
        if (training_) {
            statistics_size_ = static_cast<std::size_t>(layers::statistics_of(op_, input_shapes_.front()));
        } else {
            for (layers::BufferId id : node.buffers) {
                buffer_sizes_.push_back(static_cast<std::size_t>(r.graph->buffer(id).shape.elements().value));
            }
        }
        param_types_.assign(param_sizes_.size(), DType::f32);
        output_shape_ = r.graph->tensor(node.output).shape;
        output_type_ = r.graph->tensor(node.output).dtype;
        output_size_ = static_cast<std::size_t>(output_shape_.elements().value * batch_);
    }

    [[nodiscard]] KernelNeeds needs() const override {
        std::size_t values = output_size_ + statistics_size_;
        for (std::size_t size : input_sizes_) values += size;
        for (std::size_t size : param_sizes_) values += size;
        for (std::size_t size : buffer_sizes_) values += size;
        KernelNeeds needs;
        needs.forward_scratch = Bytes(static_cast<std::int64_t>(values * sizeof(double)));
        if (!training_) return needs;
        const layers::BackwardNeeds plain = layers::backward_needs(plain_);
        needs.backward_reads_input = plain.input || plain.target;
        needs.backward_reads_output = plain.output || fused();
        needs.backward_scratch = needs.forward_scratch * 2;
        return needs;
    }

    [[nodiscard]] std::string describe() const override { return "naive:fp64"; }

    void forward(Stream&, const KernelBuffers& b) override {
        Scratch scratch(b.scratch);
        layers::reference::ForwardIo io;
        read_operands(scratch, b, true, io);
        for (std::size_t i = 0; i < buffer_sizes_.size(); ++i) {
            const std::span<double> buffer = scratch.take(buffer_sizes_[i]);
            widen(b.buffers.at(i), DType::f32, buffer);
            io.buffers.emplace_back(buffer);
        }
        io.output = scratch.take(output_size_);
        if (statistics_size_ > 0) io.statistics = scratch.take(statistics_size_);
        layers::reference::forward(op_, input_shapes_, output_shape_, batch_, io);
        narrow(io.output, b.output, output_type_);
        narrow(io.statistics, b.statistics);
    }

    void backward_activation(Stream&, const KernelBuffers& b) override {
        if (!fused()) return;
        Scratch scratch(b.scratch);
        const std::span<double> output = scratch.take(output_size_);
        const std::span<double> gradient = scratch.take(output_size_);
        widen(b.output, output_type_, output);
        widen(b.d_output, output_type_, gradient);
        for (std::size_t i = 0; i < output_size_; ++i) {
            if (!(output[i] > 0)) gradient[i] = 0;
        }
        narrow(gradient, b.d_output, output_type_);
    }

    void backward_weight(Stream&, const KernelBuffers& b) override { backward(b, true); }
    void backward_input(Stream&, const KernelBuffers& b) override { backward(b, false); }

  private:
    /// Hands out parts of the scratch one after the other.
    class Scratch {
      public:
        explicit Scratch(std::byte* memory) : next_(reinterpret_cast<double*>(memory)) {}
        std::span<double> take(std::size_t size) {
            const std::span<double> part(next_, size);
            next_ += size;
            return part;
        }

      private:
        double* next_;
    };

    [[nodiscard]] bool fused() const { return !(op_ == plain_); }

    /// Widens inputs (where the pass reads them) and parameters; what is not read is zeros.
    template <class Io>
    void read_operands(Scratch& scratch, const KernelBuffers& b, bool reads_inputs, Io& io) const {
        for (std::size_t i = 0; i < input_sizes_.size(); ++i) {
            const std::span<double> input = scratch.take(input_sizes_[i]);
            if (reads_inputs) {
                widen(b.inputs.at(i), input_types_[i], input);
            } else {
                std::fill(input.begin(), input.end(), 0.0);
            }
            io.inputs.emplace_back(input);
        }
        for (std::size_t i = 0; i < param_sizes_.size(); ++i) {
            const std::span<double> param = scratch.take(param_sizes_[i]);
            widen(b.params.at(i), DType::f32, param);
            io.params.emplace_back(param);
        }
        io.training = training_;
        io.node_name = name_;
        if (b.context != nullptr) io.context = *b.context;
    }

    /// `weights`: the gradients of the parameters; otherwise those of the inputs.
    void backward(const KernelBuffers& b, bool weights) const {
        Scratch scratch(b.scratch);
        layers::reference::BackwardIo io;
        const KernelNeeds need = needs();
        read_operands(scratch, b, need.backward_reads_input, io);
        const std::span<double> output = scratch.take(output_size_);
        if (need.backward_reads_output) {
            widen(b.output, output_type_, output);
        } else {
            std::fill(output.begin(), output.end(), 0.0);
        }
        io.output = output;
        const std::span<double> d_output = scratch.take(output_size_);
        if (layers::is_loss(op_)) {
            std::fill(d_output.begin(), d_output.end(), static_cast<double>(loss_gradient(b)));
        } else {
            widen(b.d_output, output_type_, d_output);
        }
        io.d_output = d_output;
        take_gradients(scratch, weights ? b.d_params : b.d_inputs, weights ? param_sizes_ : input_sizes_,
                       weights ? io.d_params : io.d_inputs);
        layers::reference::backward(plain_, input_shapes_, output_shape_, batch_, io);
        write_gradients(weights ? io.d_params : io.d_inputs, weights ? param_types_ : input_types_,
                        weights ? b.d_params : b.d_inputs);
    }

    static void take_gradients(Scratch& scratch, const std::vector<std::byte*>& wanted,
                               const std::vector<std::size_t>& sizes, std::vector<std::span<double>>& parts) {
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            const bool skip = i >= wanted.size() || wanted[i] == nullptr;
            parts.push_back(skip ? std::span<double>{} : scratch.take(sizes[i]));
        }
    }

    static void write_gradients(const std::vector<std::span<double>>& parts, const std::vector<DType>& types,
                                const std::vector<std::byte*>& wanted) {
        for (std::size_t i = 0; i < parts.size(); ++i) {
            if (!parts[i].empty()) narrow(parts[i], wanted[i], types[i]);
        }
    }

    std::string name_;
    layers::Op op_;
    layers::Op plain_;
    std::int64_t batch_;
    bool training_;
    std::vector<Shape> input_shapes_;
    std::vector<DType> input_types_;
    std::vector<std::size_t> input_sizes_;
    std::vector<std::size_t> param_sizes_;
    std::vector<DType> param_types_;
    std::vector<std::size_t> buffer_sizes_;
    std::size_t statistics_size_ = 0;
    Shape output_shape_;
    DType output_type_ = DType::f32;
    std::size_t output_size_ = 0;
};

}  // namespace

KernelOffer ReferenceProvider::offer(const KernelRequest& request) const {
    ensure(request.graph != nullptr && request.batch >= 1, "a kernel request has a graph and a batch");
    return {std::make_unique<ReferenceKernels>(request), ""};
}

}  // namespace trireme
