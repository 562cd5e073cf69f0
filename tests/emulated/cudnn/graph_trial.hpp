// One graph of ours, run by the emulated cuDNN next to its definition in fp64 on the same operands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include "runtime/core/alignment.hpp"
#include "runtime/device/cuda/check.hpp"
#include "runtime/device/cuda/cuda_stream.hpp"
#include "runtime/kernels/cudnn/handle.hpp"
#include "runtime/kernels/cudnn/planned_graph.hpp"
#include "tests/support/host_graphs.hpp"

namespace trireme::emulated {

/// Largest difference, in units of a tensor's largest number. Sums are fp32 in the one and fp64 in the other;
/// what is stored in 16 bits may be rounded to the neighbour, and sums of stored values follow it.
inline double tolerance(DType graph, DType tensor) {
    if (graph == DType::f32) return 1e-5;
    if (tensor == DType::f32) return graph == DType::f16 ? 1e-3 : 8e-3;
    return graph == DType::f16 ? 1e-3 : 8e-3;
}

/// Memory of the GPU's that the host reads and writes too.
class TrialBuffer {
  public:
    explicit TrialBuffer(std::int64_t bytes) : bytes_(static_cast<std::size_t>(bytes)) {
        cuda::check(cudaMallocManaged(&memory_, bytes_), "allocating for a trial");
        std::memset(memory_, 0x5a, bytes_);
    }
    TrialBuffer(const TrialBuffer&) = delete;
    TrialBuffer& operator=(const TrialBuffer&) = delete;
    ~TrialBuffer() { static_cast<void>(cudaFree(memory_)); }
    [[nodiscard]] std::byte* data() const { return static_cast<std::byte*>(memory_); }
    [[nodiscard]] std::size_t size() const { return bytes_; }

  private:
    std::size_t bytes_;
    void* memory_ = nullptr;
};

/// Operands of one graph, in the places that a launch gives them: rows of attention packed as the layer has
/// them, other tensors behind each other.
class TrialOperands {
  public:
    explicit TrialOperands(const cudnn::GraphSpec& spec) : tensors_(cudnn::tensors_of(spec)) {
        std::int64_t end = 0;
        const std::int64_t part = spec.attention.heads * spec.attention.width * size_of(spec.dtype);
        for (const cudnn::GraphTensor& tensor : tensors_) {
            if (is_part(tensor.name)) {
                offsets_.push_back(offsets_.back() + part);
                end = std::max(end, offsets_.back() + tensor.bytes());
                continue;
            }
            offsets_.push_back(round_up(end, 256));
            end = offsets_.back() + tensor.bytes();
        }
        memory_ = std::make_unique<TrialBuffer>(round_up(end, 256));
    }

    [[nodiscard]] const std::vector<cudnn::GraphTensor>& tensors() const { return tensors_; }
    [[nodiscard]] std::byte* at(std::size_t tensor) const { return memory_->data() + offsets_[tensor]; }
    [[nodiscard]] test::HostTensor host(std::size_t tensor) const { return {tensors_[tensor], at(tensor)}; }
    [[nodiscard]] cudnn::Operands operands() const {
        cudnn::Operands operands;
        for (std::size_t i = 0; i < tensors_.size(); ++i) operands.push_back(at(i));
        return operands;
    }
    void copy_from(const TrialOperands& other) const {
        std::memcpy(memory_->data(), other.memory_->data(), memory_->size());
    }
    [[nodiscard]] bool same_bytes(const TrialOperands& other) const {
        return std::memcmp(memory_->data(), other.memory_->data(), memory_->size()) == 0;
    }

  private:
    /// Lies in the rows of the tensor before it.
    static bool is_part(std::string_view name) {
        return name == "k" || name == "v" || name == "d_k" || name == "d_v";
    }
    std::vector<cudnn::GraphTensor> tensors_;
    std::vector<std::int64_t> offsets_;
    std::unique_ptr<TrialBuffer> memory_;
};

/// Numbers between -1 and 1; a deviation's inverse is positive.
inline void fill(const TrialOperands& operands, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<double> numbers(-1, 1);
    for (std::size_t i = 0; i < operands.tensors().size(); ++i) {
        test::HostTensor tensor = operands.host(i);
        if (tensor.is.written) continue;
        const bool positive = tensor.is.name == "deviation";
        tensor.is.written = true;
        tensor.for_each([&](auto... index) {
            const double value = numbers(random);
            tensor.put(index..., positive ? 0.5 + std::abs(value) : value);
        });
    }
}

/// Every element of every result is near, and every other byte is what it was.
inline void expect_near(DType graph, const TrialOperands& got, const TrialOperands& want) {
    for (std::size_t i = 0; i < want.tensors().size(); ++i) {
        const test::HostTensor wanted = want.host(i);
        const test::HostTensor given = got.host(i);
        if (!wanted.is.written) continue;
        double largest = 0;
        double off = 0;
        wanted.for_each([&](auto... index) {
            largest = std::max(largest, std::abs(wanted.get(index...)));
            const double difference = std::abs(wanted.get(index...) - given.get(index...));
            off = std::isnan(difference) ? HUGE_VAL : std::max(off, difference);
            given.put(index..., wanted.get(index...));
        });
        EXPECT_LE(off, tolerance(graph, wanted.is.dtype) * largest)
            << wanted.is.name << ", largest " << largest;
    }
    EXPECT_TRUE(got.same_bytes(want)) << "something else was written";
}

/// The emulated library of this build, unless another folder is named.
struct OwnFolder {
    OwnFolder() { ::setenv("TRIREME_CUDA_LIBRARIES", TRIREME_EMULATED_FOLDER, 0); }
};

/// The library with a stream.
class GraphTrial {
  public:
    [[nodiscard]] std::unique_ptr<cudnn::PlannedGraph> planned(const cudnn::GraphSpec& spec) {
        std::string refusal;
        auto graph = cudnn::PlannedGraph::make(spec, cudnn::Target::gpu(handle_.get(), 90), refusal);
        EXPECT_NE(graph, nullptr) << refusal;
        return graph;
    }
    void run(cudnn::PlannedGraph& graph, const TrialOperands& operands, std::byte* workspace) {
        graph.run(handle_.on(stream_), operands.operands(), workspace);
    }
    void wait() { cuda::check(cudaStreamSynchronize(stream_.native()), "waiting for a trial"); }
    [[nodiscard]] CudaStream& stream() { return stream_; }
    [[nodiscard]] cudnnContext* handle() { return handle_.on(stream_); }

    /// The plan that was taken gives what the definition gives.
    void check(cudnn::PlannedGraph& graph, const cudnn::GraphSpec& spec, std::uint32_t seed = 1) {
        SCOPED_TRACE(spec.str() + " by " + graph.name());
        const TrialOperands want(spec);
        fill(want, seed);
        const TrialBuffer workspace(spec.workspace);
        if (spec.kind == cudnn::GraphKind::attention_backward) keep_forward(spec, want, workspace.data());
        const TrialOperands got(spec);
        got.copy_from(want);
        run(graph, got, workspace.data());
        wait();
        test::HostGraphs::run({spec}, stream_, want.operands(), workspace.data());
        expect_near(spec.dtype, got, want);
    }
    /// The same of the first plan that can be taken.
    void check(const cudnn::GraphSpec& spec) {
        const auto graph = planned(spec);
        ASSERT_NE(graph, nullptr);
        std::string why;
        ASSERT_TRUE(graph->take_first(why)) << spec.str() << ": " << why;
        check(*graph, spec);
    }

  private:
    /// Backward reads what forward left.
    void keep_forward(const cudnn::GraphSpec& spec, const TrialOperands& t, std::byte* workspace) {
        cudnn::GraphSpec forward = spec;
        forward.kind = cudnn::GraphKind::attention_forward;
        forward.keeps = true;
        const cudnn::Operands all = t.operands();
        test::HostGraphs::run({forward}, stream_, {all[0], all[1], all[2], all[3], all[5]}, workspace);
    }

    OwnFolder folder_;  // before the handle, which looks for the library
    cudnn::Handle handle_;
    CudaStream stream_;
};

}  // namespace trireme::emulated
