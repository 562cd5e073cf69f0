// A convolution: cuDNN's graphs, and what our own kernels do before and behind them (rules/cudnn_plans.hpp
// says what lies where).
#pragma once

#include "runtime/kernels/cuda/nodes/graph_kernels.hpp"
#include "runtime/kernels/cuda/nodes/sum_columns.hpp"
#include "runtime/kernels/rules/cudnn_plans.hpp"

namespace trireme::cudnn {

template <class Launch, class Graphs>
class ConvKernels final : public GraphKernels<Graphs> {
  public:
    ConvKernels(const NodeView& view, ConvPlan plan, std::shared_ptr<Graphs> graphs)
        : GraphKernels<Graphs>(plan.rules, std::move(graphs)),
          plan_(std::move(plan)),
          output_type_(view.output_dtype()) {
        for (std::size_t i = 0; i < view.node.inputs.size(); ++i) input_types_.push_back(view.input_dtype(i));
        forward_ = this->planned(plan_.forward);
        if (plan_.weight_gradient) weight_gradient_ = this->planned(*plan_.weight_gradient);
        if (plan_.input_gradient) input_gradient_ = this->planned(*plan_.input_gradient);
    }

    void pack_forward(Stream& stream, const KernelBuffers& b) override {
        if (plan_.master_weights) return;
        pack_weights(stream, b.params[0], b.forward_weights);
        if (!plan_.bias_copy) return;
        cuda::convert<Launch>(stream, {b.params[1], DType::f32},
                              {b.forward_weights + *plan_.bias_copy, plan_.compute}, geometry().out_channels);
    }
    void pack_backward(Stream& stream, const KernelBuffers& b) override {
        if (!plan_.master_weights) pack_weights(stream, b.params[0], b.backward_weights);
    }

    void forward(Stream& stream, const KernelBuffers& b) override {
        const PassParts& parts = plan_.forward_parts;
        Operands& operands = forward_.operands;
        operands.assign({read(stream, b, b.inputs[0], input_types_[0], parts.x, geometry().inputs()),
                         plan_.master_weights ? b.params[0] : b.forward_weights});
        if (plan_.forward.bias)
            operands.push_back(plan_.bias_copy ? b.forward_weights + *plan_.bias_copy : b.params[1]);
        if (plan_.forward.residual) {
            operands.push_back(
                read(stream, b, b.inputs[1], input_types_[1], parts.residual, geometry().outputs()));
        }
        std::byte* y = target(b, b.output, parts.y);
        operands.push_back(y);
        this->run(forward_, stream, workspace(b, parts));
        if (!plan_.residual_behind) {
            finish(stream, b, parts.y, {b.output, output_type_}, geometry().outputs());
        } else if (plan_.relu) {
            add_residual(stream, b, y, cuda::ReluOfSum{});
        } else {
            add_residual(stream, b, y, cuda::Sum{});
        }
    }

    void backward_activation(Stream& stream, const KernelBuffers& b) override {
        if (!plan_.relu) return;
        const std::int64_t elements = geometry().outputs();
        Launch::each(stream, cuda::packs_of(elements),
                     cuda::Map2<cuda::ReluSlope>{elements,
                                                 {b.d_output, output_type_},
                                                 {b.output, output_type_},
                                                 {b.d_output, output_type_},
                                                 cuda::ReluSlope{}});
    }

    void backward_weight(Stream& stream, const KernelBuffers& b) override {
        const PassParts& parts = plan_.weight_parts;
        std::byte* d_w = target(b, b.d_params[0], parts.d_w);
        weight_gradient_.operands.assign(
            {read(stream, b, b.inputs[0], input_types_[0], parts.x, geometry().inputs()),
             read(stream, b, b.d_output, output_type_, parts.d_y, geometry().outputs()), d_w});
        this->run(weight_gradient_, stream, workspace(b, parts));
        if (!plan_.master_weights) {
            cuda::unpack_gradient<Launch>(stream, weights(), {d_w, plan_.compute},
                                          {b.d_params[0], DType::f32});
        }
        if (plan_.forward.bias) sum_bias_gradient(stream, b);
    }

    void backward_input(Stream& stream, const KernelBuffers& b) override {
        const PassParts& parts = plan_.input_parts;
        if (b.d_inputs[0] != nullptr) {
            input_gradient_.operands.assign(
                {read(stream, b, b.d_output, output_type_, parts.d_y, geometry().outputs()),
                 plan_.master_weights ? b.params[0] : b.backward_weights,
                 target(b, b.d_inputs[0], parts.d_x)});
            this->run(input_gradient_, stream, workspace(b, parts));
            finish(stream, b, parts.d_x, {b.d_inputs[0], input_types_[0]}, geometry().inputs());
        }
        if (input_types_.size() < 2 || b.d_inputs[1] == nullptr || b.d_inputs[1] == b.d_output) return;
        cuda::convert<Launch>(stream, {b.d_output, output_type_}, {b.d_inputs[1], input_types_[1]},
                              geometry().outputs());
    }

  private:
    using Part = std::optional<std::int64_t>;

    [[nodiscard]] const ConvGeometry& geometry() const { return plan_.forward.conv; }
    [[nodiscard]] static std::byte* workspace(const KernelBuffers& b, const PassParts& parts) {
        return aligned_up(b.scratch + parts.workspace, workspace_alignment);
    }

    /// The operand where a graph may read it.
    [[nodiscard]] const std::byte* read(Stream& stream, const KernelBuffers& b, const std::byte* operand,
                                        DType dtype, const Part& part, std::int64_t elements) const {
        if (!part) return operand;
        cuda::convert<Launch>(stream, {operand, dtype}, {b.scratch + *part, plan_.compute}, elements);
        return b.scratch + *part;
    }
    /// Where a graph may write a result, and its way from there to its place.
    [[nodiscard]] static std::byte* target(const KernelBuffers& b, std::byte* result, const Part& part) {
        return part ? b.scratch + *part : result;
    }
    void finish(Stream& stream, const KernelBuffers& b, const Part& part, const cuda::Sink& result,
                std::int64_t elements) const {
        if (part) cuda::convert<Launch>(stream, {b.scratch + *part, plan_.compute}, result, elements);
    }

    /// Behind a graph that could not add it; converts on the way.
    template <class F>
    void add_residual(Stream& stream, const KernelBuffers& b, const std::byte* y, F f) const {
        const std::int64_t elements = geometry().outputs();
        Launch::each(
            stream, cuda::packs_of(elements),
            cuda::Map2<F>{
                elements, {y, plan_.compute}, {b.inputs[1], input_types_[1]}, {b.output, output_type_}, f});
    }

    [[nodiscard]] cuda::WeightShape weights() const { return weight_shape(geometry()); }
    void pack_weights(Stream& stream, const std::byte* master, std::byte* copy) const {
        cuda::pack_weights<Launch>(stream, weights(), {master, DType::f32}, {copy, plan_.compute});
    }

    void sum_bias_gradient(Stream& stream, const KernelBuffers& b) const {
        const cuda::ColumnTerms terms{{b.d_output, output_type_}};
        const cuda::ScaledSums finish{{b.d_params[1], DType::f32}};
        cuda::sum_columns<Launch>(stream, plan_.bias_tiling, terms, finish, workspace(b, plan_.weight_parts));
    }

    ConvPlan plan_;
    DType output_type_;
    std::vector<DType> input_types_;
    typename GraphKernels<Graphs>::Planned forward_;
    typename GraphKernels<Graphs>::Planned weight_gradient_;
    typename GraphKernels<Graphs>::Planned input_gradient_;
};

}  // namespace trireme::cudnn
