#include "runtime/kernels/onednn/primitive_call.hpp"

#include <fmt/format.h>

#include "runtime/core/error.hpp"

namespace trireme::onednn {

PrimitiveCall::PrimitiveCall(const Context& context, std::string what, const dnnl::primitive& primitive,
                             const std::vector<Argument>& arguments)
    : what_(std::move(what)), primitive_(primitive), stream_(context.stream) {
    memories_.reserve(arguments.size());
    for (const auto& [id, desc] : arguments) {
        memories_.push_back(dnnl::memory(desc, context.engine, DNNL_MEMORY_NONE));
        arguments_.push_back({id, memories_.back().get()});
    }
}

// The C interface, because the C++ one builds a map and a vector for each call.
void PrimitiveCall::run(std::span<const void* const> data) {
    ensure(data.size() == arguments_.size(), "a pointer for each argument of a primitive");
    dnnl_status_t status = dnnl_success;
    std::size_t i = 0;
    for (const void* pointer : data) {
        if (status == dnnl_success) {
            status = dnnl_memory_set_data_handle(arguments_[i].memory, const_cast<void*>(pointer));
        }
        ++i;
    }
    if (status == dnnl_success) {
        status = dnnl_primitive_execute(primitive_.get(), stream_.get(), static_cast<int>(arguments_.size()),
                                        arguments_.data());
    }
    if (status == dnnl_success) status = dnnl_stream_wait(stream_.get());
    if (status != dnnl_success) {
        throw DeviceError(fmt::format("oneDNN failed in {}: status {}", what_, static_cast<int>(status)));
    }
}

dnnl::primitive_attr attributes(bool relu, dnnl::post_ops post) {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (relu) post.append_eltwise(dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
    attr.set_post_ops(post);
    return attr;
}

dnnl::memory::data_type type_of(DType dtype) {
    ensure(dtype == DType::f32 || dtype == DType::bf16, "primitives compute on fp32 and bf16");
    return dtype == DType::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

dnnl::memory::desc plain(const dnnl::memory::dims& dims, DType dtype) {
    dnnl::memory::dims strides(dims.size(), 1);
    for (std::size_t axis = dims.size() - 1; axis > 0; --axis) strides[axis - 1] = strides[axis] * dims[axis];
    return {dims, type_of(dtype), strides};
}

PrimitiveCall reorder_call(const Context& context, const std::string& what, const dnnl::memory::desc& from,
                           const dnnl::memory::desc& to, std::size_t& scratch_bytes) {
    scratch_bytes = 0;
    if (from == to) return {};
    const dnnl::reorder::primitive_desc pd(context.engine, from, context.engine, to, attributes());
    scratch_bytes = pd.scratchpad_desc().get_size();
    return {context,
            what,
            dnnl::reorder(pd),
            {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}}};
}

PrimitiveCall relu_mask_call(const Context& context, const std::string& what, std::int64_t elements,
                             DType dtype) {
    const dnnl::memory::desc flat = plain({elements}, dtype);
    const dnnl::eltwise_forward::primitive_desc forward(context.engine, dnnl::prop_kind::forward_training,
                                                        dnnl::algorithm::eltwise_relu_use_dst_for_bwd, flat,
                                                        flat, 0.0F, 0.0F, attributes());
    const dnnl::eltwise_backward::primitive_desc pd(context.engine,
                                                    dnnl::algorithm::eltwise_relu_use_dst_for_bwd, flat, flat,
                                                    flat, 0.0F, 0.0F, forward, attributes());
    ensure(pd.scratchpad_desc().get_size() == 0, "oneDNN's relu needs no scratch");
    return {context,
            what,
            dnnl::eltwise_backward(pd),
            {{DNNL_ARG_DST, flat}, {DNNL_ARG_DIFF_DST, flat}, {DNNL_ARG_DIFF_SRC, flat}}};
}

}  // namespace trireme::onednn
