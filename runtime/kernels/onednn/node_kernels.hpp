// What the node kernels of this provider share, and the makers of each family. Only runtime/kernels/onednn
// includes this.
#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "runtime/device/cpu/kernel_threads.hpp"
#include "runtime/kernels/node_view.hpp"
#include "runtime/kernels/onednn/float_values.hpp"
#include "runtime/kernels/onednn/primitive_call.hpp"
#include "runtime/kernels/onednn/vector_loops.hpp"

namespace trireme::onednn {

/// Device memory as the fp32 values that lie there.
[[nodiscard]] inline const float* floats(const std::byte* memory) {
    return reinterpret_cast<const float*>(memory);
}
[[nodiscard]] inline float* floats(std::byte* memory) { return reinterpret_cast<float*>(memory); }

/// Kernels with the defaults of a node that has neither parameters nor a fused activation.
class OnednnKernels : public NodeKernels {
  public:
    explicit OnednnKernels(const NodeView& view)
        : name_(view.node.name), threads_(view.request.threads), training_(view.request.training) {}

    [[nodiscard]] KernelNeeds needs() const override { return needs_; }
    [[nodiscard]] std::string describe() const override { return description_; }
    void backward_activation(Stream&, const KernelBuffers&) override {}
    void backward_weight(Stream&, const KernelBuffers&) override {}

  protected:
    /// Each launch starts with this: the team size belongs to the calling thread.
    void use_threads() const { cpu::use_kernel_threads(threads_); }
    [[nodiscard]] int threads() const { return threads_; }
    [[nodiscard]] bool training() const { return training_; }
    /// Threads for a loop of our own over `values` values that can be cut into `parts`: with fewer than
    /// `values_per_worker` each, waking the team costs more than it saves.
    [[nodiscard]] int workers_for(std::int64_t values, std::int64_t parts,
                                  std::int64_t values_per_worker = 16 * 1024) const {
        const std::int64_t useful = std::max<std::int64_t>(1, values / values_per_worker);
        return static_cast<int>(std::min({static_cast<std::int64_t>(threads_), useful, parts}));
    }
    [[nodiscard]] std::string what(std::string_view pass) const { return name_ + ": " + std::string(pass); }

    [[nodiscard]] VectorSet vectors() const { return vectors_; }
    /// What the plan shows of a node that runs in loops of our own.
    void describe_loop(const NodeView& view) {
        description_ = view.compute_dtype() == DType::bf16 ? "loop:bf16" : "loop:fp32";
    }

    /// f(at, n, buffers) for pieces of `elements` values, on as many workers as that is worth. `buffers` are
    /// three of piece_values floats, for what is not fp32.
    template <class F>
    void for_each_piece(std::int64_t elements, const F& f) const {
        cpu::parallel_ranges(workers_for(elements, elements), elements,
                             [&](int, std::int64_t begin, std::int64_t end) {
                                 alignas(64) float buffers[3][piece_values];
                                 run_vectors(
                                     vectors_, [&]() __attribute__((always_inline)) {
                                         for (std::int64_t at = begin; at < end; at += piece_values) {
                                             f(at, std::min(piece_values, end - at), buffers);
                                         }
                                     });
                             });
    }
    /// to[i] = from[i], converted where their types differ; nothing where both are the same memory.
    void copy_values(const FloatSource& from, const FloatSink& to, std::int64_t elements) const {
        for_each_piece(
            elements, [&](std::int64_t at, std::int64_t n, auto& buffers)
                          __attribute__((always_inline)) { to.store(at, n, from.read(at, n, buffers[0])); });
    }

    static constexpr std::int64_t piece_values = 1024;

    Context context_;
    KernelNeeds needs_;
    std::string description_;

  private:
    std::string name_;
    int threads_;
    bool training_;
    VectorSet vectors_ = vector_set();
};

/// All throw dnnl::error where oneDNN has no primitive for the node.
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Conv2d& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Linear& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Bias& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Relu& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Tanh& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Sigmoid& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Pool2d& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::SoftmaxCrossEntropy& op,
                                                        const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::BatchNorm& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Dropout& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Add& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Concat& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::GlobalAveragePool& op,
                                                        const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Gelu& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::LayerNorm& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::BceWithLogits& op,
                                                        const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::MeanSquaredError& op,
                                                        const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::Embedding& op, const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::PositionEmbedding& op,
                                                        const NodeView& view);
[[nodiscard]] std::unique_ptr<NodeKernels> make_kernels(const layers::CausalSelfAttention& op,
                                                        const NodeView& view);

}  // namespace trireme::onednn
