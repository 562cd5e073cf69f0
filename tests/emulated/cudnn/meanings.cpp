// What descriptors come to, but for operations: those are in read_operations.cpp.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "tests/emulated/cudnn/descriptors.hpp"
#include "tests/emulated/cudnn/plan.hpp"
#include "tests/emulated/cudnn/refusals.hpp"

namespace trireme::emulated::dnn {
namespace {

template <std::size_t N>
std::array<std::int64_t, N> numbers(const Descriptor& of, cudnnBackendAttributeName_t name,
                                    std::int64_t least, const char* what) {
    const auto list = of.list<std::int64_t>(name);
    require_known(list.size() == N, "{} has {} {}, and {} are known here", of.name(), list.size(), what, N);
    std::array<std::int64_t, N> result{};
    for (std::size_t i = 0; i < N; ++i) {
        require(list[i] >= least, "{} has {} among its {}", of.name(), list[i], what);
        result[i] = list[i];
    }
    return result;
}

void expect_fp32(const Descriptor& of, cudnnBackendAttributeName_t name) {
    const auto type = of.value<cudnnDataType_t>(name);
    require_known(type == CUDNN_DATA_FLOAT, "{} computes in type {}, and fp32 alone is known here", of.name(),
                  static_cast<int>(type));
}

TensorPtr tensor_of(const Descriptor& d) {
    Tensor tensor;
    tensor.uid = d.value<std::int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
    tensor.type = d.value<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE);
    tensor.dims = numbers<4>(d, CUDNN_ATTR_TENSOR_DIMENSIONS, 1, "dimensions");
    tensor.strides = numbers<4>(d, CUDNN_ATTR_TENSOR_STRIDES, 1, "strides");
    tensor.alignment = d.value<std::int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
    tensor.is_virtual = d.value_or<std::uint8_t>(CUDNN_ATTR_TENSOR_IS_VIRTUAL, 0) != 0;
    tensor.by_value = d.value_or<std::uint8_t>(CUDNN_ATTR_TENSOR_IS_BY_VALUE, 0) != 0;
    const std::string text = text_of(tensor);
    require_known(size_of(tensor.type) > 0, "{} is of type {}, which is not known here", text,
                  static_cast<int>(tensor.type));
    require(tensor.alignment > 0 && (tensor.alignment & (tensor.alignment - 1)) == 0 &&
                tensor.alignment % size_of(tensor.type) == 0,
            "{} is aligned to {} bytes", text, tensor.alignment);
    require(!tensor.is_virtual || !tensor.by_value, "{} is virtual and by value", text);
    require_known(!tensor.by_value || (tensor.elements() == 1 && tensor.type == CUDNN_DATA_FLOAT),
                  "{} is by value and not one number in fp32", text);
    const bool in_memory = !tensor.is_virtual;
    require_known(!in_memory || tensor.type == CUDNN_DATA_FLOAT || is_16_bit(tensor.type),
                  "{} lies in memory with type {}", text, static_cast<int>(tensor.type));
    require(!in_memory || tensor.is_injective(), "{} has strides by which elements overlap", text);
    return std::make_shared<const Tensor>(tensor);
}

Placement placement_of(const Descriptor& d) {
    expect_fp32(d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE);
    const auto mode = d.value<cudnnConvolutionMode_t>(CUDNN_ATTR_CONVOLUTION_CONV_MODE);
    require_known(mode == CUDNN_CROSS_CORRELATION, "a convolution flips its filter");
    const auto spatial = d.value<std::int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS);
    require_known(spatial == 2, "a convolution has {} spatial axes", spatial);
    Placement at;
    at.before = numbers<2>(d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, 0, "paddings");
    at.behind = numbers<2>(d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, 0, "paddings");
    at.stride = numbers<2>(d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, 1, "strides");
    at.dilation = numbers<2>(d, CUDNN_ATTR_CONVOLUTION_DILATIONS, 1, "dilations");
    return at;
}

PointwiseRule pointwise_rule_of(const Descriptor& d) {
    PointwiseRule rule;
    rule.mode = d.value<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
    const auto type = d.value<cudnnDataType_t>(CUDNN_ATTR_POINTWISE_MATH_PREC);
    const bool compares = rule.mode >= CUDNN_POINTWISE_CMP_EQ && rule.mode <= CUDNN_POINTWISE_CMP_LE;
    require_known(type == CUDNN_DATA_FLOAT || (compares && type == CUDNN_DATA_BOOLEAN),
                  "a pointwise operation computes in type {}", static_cast<int>(type));
    rule.lower_clip = d.value_or<double>(CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, 0);
    rule.upper_clip = d.value_or<double>(CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP,
                                         static_cast<double>(std::numeric_limits<float>::max()));
    rule.lower_slope = d.value_or<double>(CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, 0);
    rule.axis = d.value_or<std::int64_t>(CUDNN_ATTR_POINTWISE_AXIS, -1);
    require(rule.mode != CUDNN_POINTWISE_GEN_INDEX || (rule.axis >= 0 && rule.axis < 4),
            "an index is made along axis {}", rule.axis);
    return rule;
}

ReductionRule reduction_rule_of(const Descriptor& d) {
    expect_fp32(d, CUDNN_ATTR_REDUCTION_COMP_TYPE);
    const auto op = d.value<cudnnReduceTensorOp_t>(CUDNN_ATTR_REDUCTION_OPERATOR);
    require_known(op == CUDNN_REDUCE_TENSOR_ADD || op == CUDNN_REDUCE_TENSOR_MAX,
                  "reduction {} is not known here", static_cast<int>(op));
    return {op};
}

std::shared_ptr<const Graph> graph_of(const Descriptor& d) {
    std::vector<Operation> operations;
    for (const DescriptorPtr& link : d.links(CUDNN_ATTR_OPERATIONGRAPH_OPS))
        operations.push_back(link->as<Operation>());
    return std::make_shared<const Graph>(std::move(operations));
}

Heuristics heuristics_of(const Descriptor& d) {
    const auto& graph = d.linked<std::shared_ptr<const Graph>>(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    if (d.has(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP))
        static_cast<void>(d.linked<DeviceProperties>(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP));
    if (const std::string why = graph->unsupported(); !why.empty())
        refuse(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "{}", why);
    return {graph, engines_of(*graph, d.value<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE))};
}

std::shared_ptr<Plan> plan_of(const Descriptor& d) {
    const auto& planned = d.linked<PlannedConfig>(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    require_known(planned.config.can_be_built, "engine {} cannot be built for this graph",
                  planned.config.index);
    return std::make_shared<Plan>(planned.graph, planned.config);
}

VariantPack variant_pack_of(const Descriptor& d) {
    VariantPack pack;
    pack.uids = d.list<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    pack.memory = d.list<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    pack.workspace = d.value<void*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    require(pack.uids.size() == pack.memory.size(), "a variant pack has {} uids and {} pointers",
            pack.uids.size(), pack.memory.size());
    std::vector<std::int64_t> sorted = pack.uids;
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
        refuse(CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES, "a variant pack has a uid twice");
    return pack;
}

DeviceProperties device_properties_of(const Descriptor& d) {
    const auto text = d.list<char>(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION);
    const std::string json(text.begin(), text.end());
    require(json.find('{') != std::string::npos && json.find("\"deviceVer\"") != std::string::npos &&
                json.find("\"maxGridSize\"") != std::string::npos,
            "this describes no device");
    return {};
}

}  // namespace

Meaning meaning_of(const Descriptor& d) {
    switch (d.type()) {
        case CUDNN_BACKEND_TENSOR_DESCRIPTOR:
            return tensor_of(d);
        case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR:
            return placement_of(d);
        case CUDNN_BACKEND_POINTWISE_DESCRIPTOR:
            return pointwise_rule_of(d);
        case CUDNN_BACKEND_MATMUL_DESCRIPTOR:
            expect_fp32(d, CUDNN_ATTR_MATMUL_COMP_TYPE);
            return MatmulRule{};
        case CUDNN_BACKEND_REDUCTION_DESCRIPTOR:
            return reduction_rule_of(d);
        case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
            return graph_of(d);
        case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
            return heuristics_of(d);
        case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
            return plan_of(d);
        case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
            return variant_pack_of(d);
        case CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR:
            return device_properties_of(d);
        case CUDNN_BACKEND_ENGINE_DESCRIPTOR:
        case CUDNN_BACKEND_ENGINECFG_DESCRIPTOR:
        case CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR:
            refuse(CUDNN_STATUS_NOT_SUPPORTED, "{} is made by heuristics alone here", d.name());
        default:
            return operation_of(d);
    }
}

}  // namespace trireme::emulated::dnn
