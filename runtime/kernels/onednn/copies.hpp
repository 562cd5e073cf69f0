// Copies of tensors in the layout or element type that a primitive wants: of an activation or a gradient in
// the scratch of one launch, of the weights in a planned buffer that many launches read.
#pragma once

#include "runtime/kernels/onednn/primitive_call.hpp"

namespace trireme::onednn {

/// A tensor as one pass reads or writes it, in that pass's scratch; nothing where it fits as it lies.
class ScratchCopy {
  public:
    /// Whether the pass reads the copy, or writes it: which side of the reorder lies in scratch.
    enum class Pass { reads, writes };

    ScratchCopy() = default;
    /// Takes its room from `layout`.
    ScratchCopy(const Context& context, const std::string& what, ScratchLayout& layout,
                const dnnl::memory::desc& from, const dnnl::memory::desc& to, Pass pass = Pass::reads) {
        std::size_t reorder_scratch = 0;
        reorder_ = reorder_call(context, what, from, to, reorder_scratch);
        if (!reorder_.needed()) return;
        offset_ = layout.take(pass == Pass::reads ? to : from);
        reorder_scratch_ = layout.take(reorder_scratch);
    }

    /// `tensor`, or its copy, made now.
    const void* read(const std::byte* tensor, std::byte* scratch) {
        if (!reorder_.needed()) return tensor;
        reorder_.run({tensor, scratch + offset_, scratch + reorder_scratch_});
        return scratch + offset_;
    }
    /// Where the pass writes what finish() then brings into place.
    [[nodiscard]] std::byte* target(std::byte* tensor, std::byte* scratch) const {
        return reorder_.needed() ? scratch + offset_ : tensor;
    }
    void finish(std::byte* tensor, std::byte* scratch) {
        if (reorder_.needed()) reorder_.run({scratch + offset_, tensor, scratch + reorder_scratch_});
    }

  private:
    PrimitiveCall reorder_;
    std::int64_t offset_ = 0;
    std::int64_t reorder_scratch_ = 0;
};

/// The compute copy of the weights of one pass; none where the pass reads the parameter as it lies.
class WeightCopy {
  public:
    WeightCopy() = default;
    WeightCopy(const Context& context, const std::string& what, const dnnl::memory::desc& param,
               const dnnl::memory::desc& wanted) {
        std::size_t reorder_scratch = 0;
        reorder_ = reorder_call(context, what, param, wanted, reorder_scratch);
        if (!reorder_.needed()) return;
        size_ = Bytes(static_cast<std::int64_t>(wanted.get_size()));
        scratch_ = Bytes(static_cast<std::int64_t>(reorder_scratch));
    }

    [[nodiscard]] Bytes size() const { return size_; }
    /// Scratch of pack().
    [[nodiscard]] Bytes scratch() const { return scratch_; }
    void pack(const std::byte* param, std::byte* copy, std::byte* scratch) {
        if (reorder_.needed()) reorder_.run({param, copy, scratch});
    }
    /// What the pass reads.
    [[nodiscard]] const void* read(const std::byte* param, const std::byte* copy) const {
        return reorder_.needed() ? copy : param;
    }

  private:
    PrimitiveCall reorder_;
    Bytes size_{};
    Bytes scratch_{};
};

}  // namespace trireme::onednn
