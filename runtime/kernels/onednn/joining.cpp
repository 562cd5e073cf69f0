// Where branches of a network meet: the sum of tensors, and tensors side by side along the last axis. Both
// move memory and do little else, so each is one pass, in loops of our own.
#include <algorithm>
#include <vector>

#include "runtime/kernels/onednn/node_kernels.hpp"
#include "runtime/kernels/onednn/vector_loops.hpp"

namespace trireme::onednn {
namespace {

class AddKernels final : public OnednnKernels {
  public:
    explicit AddKernels(const NodeView& view)
        : OnednnKernels(view), elements_(view.outputs()), workers_(workers_for(elements_, elements_)) {
        description_ = "loop:fp32";
    }

    void forward(Stream&, const KernelBuffers& b) override {
        float* sum = floats(b.output);
        cpu::parallel_ranges(workers_, elements_, [&](int, std::int64_t begin, std::int64_t end) {
            run_vectors(
                vectors_, [&]() __attribute__((always_inline)) {
                    // In parts, so that with three inputs or more the sum stays in the first cache.
                    for (std::int64_t at = begin; at < end; at += part) {
                        const std::int64_t stop = std::min(end, at + part);
                        add(floats(b.inputs[0]), floats(b.inputs[1]), sum, at, stop);
                        for (std::size_t i = 2; i < b.inputs.size(); ++i) {
                            add(sum, floats(b.inputs[i]), sum, at, stop);
                        }
                    }
                });
        });
    }

    void backward_input(Stream&, const KernelBuffers& b) override {
        const float* d = floats(b.d_output);
        cpu::parallel_ranges(workers_, elements_, [&](int, std::int64_t begin, std::int64_t end) {
            for (std::byte* d_input : b.d_inputs) {
                if (d_input != nullptr) std::copy(d + begin, d + end, floats(d_input) + begin);
            }
        });
    }

  private:
    static constexpr std::int64_t part = 2048;

    [[gnu::always_inline]] static void add(const float* a, const float* b, float* sum, std::int64_t begin,
                                           std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) sum[i] = a[i] + b[i];
    }

    std::int64_t elements_;
    int workers_;
    VectorSet vectors_ = vector_set();
};

class ConcatKernels final : public OnednnKernels {
  public:
    explicit ConcatKernels(const NodeView& view)
        : OnednnKernels(view), rows_(view.rows()), width_(view.output[view.output.rank() - 1]) {
        for (layers::TensorId id : view.node.inputs) {
            const Shape& shape = view.request.graph->tensor(id).shape;
            widths_.push_back(shape[shape.rank() - 1]);
        }
        workers_ = workers_for(view.outputs(), rows_);
        description_ = "copy";
    }

    void forward(Stream&, const KernelBuffers& b) override {
        cpu::parallel_ranges(workers_, rows_, [&](int, std::int64_t begin, std::int64_t end) {
            float* joined = floats(b.output);
            for (std::int64_t row = begin; row < end; ++row) {
                float* to = joined + row * width_;
                for (std::size_t i = 0; i < widths_.size(); ++i) {
                    const float* from = floats(b.inputs[i]) + row * widths_[i];
                    to = std::copy(from, from + widths_[i], to);
                }
            }
        });
    }

    void backward_input(Stream&, const KernelBuffers& b) override {
        cpu::parallel_ranges(workers_, rows_, [&](int, std::int64_t begin, std::int64_t end) {
            const float* joined = floats(b.d_output);
            for (std::int64_t row = begin; row < end; ++row) {
                const float* from = joined + row * width_;
                for (std::size_t i = 0; i < widths_.size(); ++i) {
                    if (b.d_inputs[i] != nullptr) {
                        std::copy(from, from + widths_[i], floats(b.d_inputs[i]) + row * widths_[i]);
                    }
                    from += widths_[i];
                }
            }
        });
    }

  private:
    std::int64_t rows_;
    std::int64_t width_;
    std::vector<std::int64_t> widths_;
    int workers_ = 1;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::Add&, const NodeView& view) {
    return std::make_unique<AddKernels>(view);
}

std::unique_ptr<NodeKernels> make_kernels(const layers::Concat&, const NodeView& view) {
    return std::make_unique<ConcatKernels>(view);
}

}  // namespace trireme::onednn
