#include "runtime/exec/compiled_program.hpp"

#include "runtime/core/error.hpp"

namespace trireme {

using layers::NodeId;
using layers::TensorId;
using Kind = BufferKey::Kind;

/// Resolves the buffers of one instruction after the other.
class CompiledProgram::Binder {
  public:
    Binder(const Program& program, const Selection& selection, const GradBuckets& buckets,
           const ProgramMemory& memory)
        : program_(program),
          selection_(selection),
          graph_(selection.graph()),
          buckets_(buckets),
          memory_(memory) {
        table_ = buffers_of(program, selection);
        plan_ = plan_memory(table_.lives);
        std::int64_t first = 0;
        for (std::int64_t samples : program.microbatches) {
            first_sample_.push_back(first);
            first += samples;
        }
    }

    CompiledInstruction bind(const Instruction& instruction, int at) {
        at_ = at;
        out_ = CompiledInstruction{};
        out_.source = &instruction;
        out_.text = str(instruction.action, graph_);
        std::visit(*this, instruction.action);
        return std::move(out_);
    }

    std::byte* find(Kind kind, int id, Microbatch mb, int pass = 0) const {
        const auto found = table_.index.find(BufferKey{kind, id, mb.value, pass});
        return found == table_.index.end() ? nullptr : memory_.arena + plan_.offsets[found->second].value;
    }

    void operator()(const LoadMicrobatch& a) { enter(a.microbatch); }
    void operator()(const ClearGradients&) {}
    void operator()(const ReduceBucket&) {}
    void operator()(const OptimizerStep&) {}
    void operator()(const RecordLoss& a) {
        enter(a.microbatch);
        out_.buffers.inputs = {activation(graph_.loss(), a.microbatch)};
        if (memory_.gradients != nullptr) out_.status = at_slot(a.slot, buckets_.status_offset());
    }
    void operator()(const PackWeights& a) { node(a.node, a.microbatch); }
    void operator()(const Forward& a) {
        node(a.node, a.microbatch);
        const StatisticsPlace& place = buckets_.statistics(a.node);
        if (!program_.training || place.elements == 0) return;
        out_.buffers.statistics =
            a.apart ? find(Kind::statistics, a.node, a.microbatch) : bytes_at_slot(a.slot, place.offset);
    }
    void operator()(const Recompute& a) {
        node(a.node, a.microbatch, /*again=*/true);
        out_.buffers.statistics = find(Kind::statistics, a.node, a.microbatch, 1);
    }
    void operator()(const AddStatistics& a) {
        const StatisticsPlace& place = buckets_.statistics(a.node);
        sum(find(Kind::statistics, a.node, a.microbatch), bytes_at_slot(0, place.offset), place.elements);
    }
    void operator()(const BackwardActivation& a) { node(a.node, a.microbatch, true); }
    void operator()(const BackwardWeight& a) {
        node(a.node, a.microbatch, true);
        for (layers::ParamId p : graph_.node(a.node).params) {
            out_.buffers.d_params.push_back(a.apart ? find(Kind::weight_gradient, p, a.microbatch)
                                                    : bytes_at_slot(a.slot, buckets_.place(p).offset));
        }
    }
    void operator()(const AddWeightGradient& a) {
        for (layers::ParamId p : graph_.node(a.node).params) {
            sum(find(Kind::weight_gradient, p, a.microbatch), bytes_at_slot(a.slot, buckets_.place(p).offset),
                buckets_.place(p).elements);
        }
    }
    void operator()(const BackwardInput& a) {
        node(a.node, a.microbatch, true);
        const auto& inputs = graph_.node(a.node).inputs;
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            const TensorId root = selection_.root_of(inputs[i]);
            const bool apart = (a.apart >> i & 1) != 0;
            out_.buffers.d_inputs.push_back(
                !selection_.wants_gradient(inputs[i]) ? nullptr
                : apart ? find(Kind::partial_gradient, partial_id(a.node, i), a.microbatch)
                        : find(Kind::gradient, root, a.microbatch));
        }
    }
    void operator()(const AddInputGradient& a) {
        enter(a.microbatch);
        const auto input = static_cast<std::size_t>(a.input);
        const TensorId root = selection_.root_of(graph_.node(a.node).inputs[input]);
        sum(find(Kind::partial_gradient, partial_id(a.node, input), a.microbatch),
            find(Kind::gradient, root, a.microbatch),
            graph_.tensor(root).shape.elements().value * out_.samples, graph_.tensor(root).dtype);
    }
    void operator()(const CombineSlots& a) {
        const IndexRange range = buckets_.buckets().at(static_cast<std::size_t>(a.bucket)).range;
        sum(bytes_at_slot(a.from, range.begin), bytes_at_slot(a.to, range.begin), range.size());
    }

  private:
    void enter(Microbatch mb) {
        out_.first_sample = first_sample_[static_cast<std::size_t>(mb.value)];
        out_.context.first_position = program_.first_position + out_.first_sample;
        out_.samples = program_.microbatches[static_cast<std::size_t>(mb.value)];
    }
    [[nodiscard]] float* at_slot(int slot, std::int64_t offset) const {
        return memory_.gradients + slot * buckets_.arena_elements().value + offset;
    }
    [[nodiscard]] std::byte* bytes_at_slot(int slot, std::int64_t offset) const {
        return reinterpret_cast<std::byte*>(at_slot(slot, offset));
    }
    void sum(const std::byte* from, std::byte* to, std::int64_t elements, DType dtype = DType::f32) {
        out_.sums.push_back({from, to, elements, dtype});
    }

    std::byte* activation(TensorId tensor, Microbatch mb, int pass = 0) {
        return find(Kind::activation, selection_.root_of(tensor), mb, pass);
    }

    /// `again`: a pass of backward, or what is computed again for it.
    void node(NodeId id, Microbatch mb, bool again = false) {
        enter(mb);
        const auto pass = [&](TensorId tensor) { return again ? program_.segments.pass(id, tensor) : 0; };
        const layers::Node& n = graph_.node(id);
        out_.kernels = &selection_.kernels(id, out_.samples, program_.training);
        KernelBuffers& b = out_.buffers;
        for (TensorId input : n.inputs) {
            const TensorId root = selection_.root_of(input);
            if (is_external(selection_, input)) {
                const layers::TensorSpec& spec = graph_.tensor(root);
                out_.from_batch.push_back({b.inputs.size(), root == graph_.target(),
                                           bytes_of(spec.shape.elements(), spec.dtype).value});
            }
            b.inputs.push_back(activation(input, mb, pass(input)));
        }
        b.output = activation(n.output, mb, pass(n.output));
        for (layers::ParamId p : n.params)
            b.params.push_back(reinterpret_cast<const std::byte*>(memory_.state->device_param(p)));
        if (n.output != graph_.loss()) b.d_output = find(Kind::gradient, selection_.root_of(n.output), mb);
        for (layers::BufferId buffer : n.buffers) {
            b.buffers.push_back(reinterpret_cast<const std::byte*>(memory_.state->device_buffer(buffer)));
        }
        b.saved = find(Kind::saved, id, mb, pass(n.output));
        b.scratch = find(Kind::scratch, at_, Microbatch(0));
        b.forward_weights = find(Kind::forward_weights, id, program_.first_like(mb));
        b.backward_weights = find(Kind::backward_weights, id, program_.first_like(mb));
    }

    const Program& program_;
    const Selection& selection_;
    const layers::ModelGraph& graph_;
    const GradBuckets& buckets_;
    ProgramMemory memory_;
    BufferTable table_;
    MemoryPlan plan_;
    std::vector<std::int64_t> first_sample_;
    CompiledInstruction out_;
    int at_ = 0;
};

CompiledProgram::CompiledProgram(Program program, const Selection& selection, const GradBuckets& buckets,
                                 const ProgramMemory& memory)
    : program_(std::make_unique<Program>(std::move(program))) {
    Binder binder(*program_, selection, buckets, memory);
    for (std::size_t i = 0; i < program_->instructions.size(); ++i) {
        instructions_.push_back(binder.bind(program_->instructions[i], static_cast<int>(i)));
    }
    for (CompiledInstruction& instruction : instructions_) instruction.buffers.context = &instruction.context;
    for (layers::TensorId t : {selection.graph().loss(), selection.graph().logits()}) {
        activations_[t] = reinterpret_cast<const float*>(
            binder.find(Kind::activation, selection.root_of(t), Microbatch(0)));
    }
}

const float* CompiledProgram::activation(layers::TensorId tensor) const { return activations_.at(tensor); }

}  // namespace trireme
