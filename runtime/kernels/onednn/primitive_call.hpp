// One oneDNN primitive with its memory objects and argument list, made once and run many times.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <oneapi/dnnl/dnnl.hpp>

#include "runtime/core/alignment.hpp"
#include "runtime/core/dtype.hpp"

namespace trireme::onednn {

/// The engine and the stream of one node. A stream of a CPU engine runs each primitive at once.
struct Context {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
};

class PrimitiveCall {
  public:
    using Argument = std::pair<int, dnnl::memory::desc>;  ///< DNNL_ARG_..., what lies there

    /// A call that does nothing: needed() is false.
    PrimitiveCall() = default;
    /// `what` stands in error messages.
    PrimitiveCall(const Context& context, std::string what, const dnnl::primitive& primitive,
                  const std::vector<Argument>& arguments);

    [[nodiscard]] bool needed() const { return static_cast<bool>(primitive_); }
    /// Pointers in the order of the arguments. Throws DeviceError when oneDNN refuses.
    void run(std::span<const void* const> data);
    void run(std::initializer_list<const void*> data) { run(std::span(data.begin(), data.size())); }

  private:
    std::string what_;
    dnnl::primitive primitive_;
    dnnl::stream stream_;
    std::vector<dnnl::memory> memories_;
    std::vector<dnnl_exec_arg_t> arguments_;
};

/// Parts of one launch's scratch, each aligned to 64 bytes; a pass lays out its own from offset 0.
class ScratchLayout {
  public:
    /// Offset of the next part.
    std::int64_t take(std::size_t bytes) {
        const std::int64_t offset = total_;
        total_ += aligned(Bytes(static_cast<std::int64_t>(bytes))).value;
        return offset;
    }
    std::int64_t take(const dnnl::memory::desc& desc) { return take(desc.get_size()); }
    [[nodiscard]] Bytes total() const { return Bytes(total_); }

  private:
    std::int64_t total_ = 0;
};

/// Attributes that all primitives here have: their scratch is ours. With `relu`, max(0, x) behind the result,
/// and behind what `post`, which becomes its own, does with it first.
[[nodiscard]] dnnl::primitive_attr attributes(bool relu = false, dnnl::post_ops post = {});
/// As oneDNN names fp32 and bf16.
[[nodiscard]] dnnl::memory::data_type type_of(DType dtype);
/// Row-major, dense.
[[nodiscard]] dnnl::memory::desc plain(const dnnl::memory::dims& dims, DType dtype = DType::f32);
/// A reorder, or a call that does nothing where both layouts are the same.
[[nodiscard]] PrimitiveCall reorder_call(const Context& context, const std::string& what,
                                         const dnnl::memory::desc& from, const dnnl::memory::desc& to,
                                         std::size_t& scratch_bytes);
/// d *= (y > 0) over `elements` values, d changed in place: the gradient in front of a fused relu. Arguments:
/// y, d, d. Needs no scratch.
[[nodiscard]] PrimitiveCall relu_mask_call(const Context& context, const std::string& what,
                                           std::int64_t elements, DType dtype);

}  // namespace trireme::onednn
