// What cuDNN is asked to compute, as data: one GraphSpec is one cuDNN graph, with the tensors that it reads
// and writes. Pure and without a CUDA header, so that rules, plans and tests on machines without a GPU speak
// of the very graphs that a GPU runs; runtime/kernels/cudnn/graphs.cpp makes the library's objects of them.
//
// Activations are NHWC and weights KRSC: cuDNN names the axes of both in the order NCHW, and strides say how
// they lie. Sums are formed in fp32 whatever the elements are.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/dtype.hpp"

namespace trireme::cudnn {

enum class GraphKind : std::uint8_t {
    conv_forward,          ///< y = x w (+ bias) (+ residual) (relu)
    conv_input_gradient,   ///< d_x from d_y and w
    conv_weight_gradient,  ///< d_w from x and d_y
    attention_forward,     ///< causal, on packed rows of query, key and value
    attention_backward,
    // Batch norm joined to the convolutions around it. A normalised tensor is relu(scale x + shift), scale
    // and shift a number a channel.
    conv_statistics,             ///< y = x w, and the sums of y and y^2 of each channel
    normalized_conv_statistics,  ///< the same of the normalised x
    normalized_weight_gradient,  ///< d_w from the normalised x and d_y
    input_gradient_norm_sums,    ///< d_x where the normalised x is above 0, and the sums that batch norm's
                                 ///< backward takes of it
};

[[nodiscard]] std::string_view name_of(GraphKind kind);

/// A convolution over one launch's batch, as layers::Conv2d has it.
struct ConvGeometry {
    std::int64_t batch = 0;
    std::array<std::int64_t, 2> input{};   ///< height, width
    std::array<std::int64_t, 2> output{};  ///< height, width
    std::int64_t channels = 0;
    std::int64_t out_channels = 0;
    std::array<std::int64_t, 2> kernel{1, 1};
    std::array<std::int64_t, 2> stride{1, 1};
    std::array<std::int64_t, 2> padding{0, 0};
    std::array<std::int64_t, 2> dilation{1, 1};
    std::int64_t groups = 1;

    [[nodiscard]] std::int64_t channels_in_group() const { return channels / groups; }
    [[nodiscard]] std::int64_t inputs() const { return batch * input[0] * input[1] * channels; }
    [[nodiscard]] std::int64_t outputs() const { return batch * output[0] * output[1] * out_channels; }
    [[nodiscard]] std::int64_t weights() const {
        return out_channels * kernel[0] * kernel[1] * channels_in_group();
    }
    bool operator==(const ConvGeometry&) const = default;
};

/// Self-attention over one launch's batch; rows of [batch, positions, 3 heads width], as
/// layers::CausalSelfAttention has them.
struct AttentionGeometry {
    std::int64_t batch = 0;
    std::int64_t heads = 0;
    std::int64_t positions = 0;
    std::int64_t width = 0;  ///< of a head

    [[nodiscard]] std::int64_t rows() const { return batch * heads * positions; }
    bool operator==(const AttentionGeometry&) const = default;
};

struct GraphSpec {
    GraphKind kind = GraphKind::conv_forward;
    DType dtype = DType::f32;  ///< of activations and weights: fp32, bf16 or fp16
    ConvGeometry conv = {};
    AttentionGeometry attention = {};
    bool bias = false;      ///< of conv_forward, of the graph's dtype
    bool residual = false;  ///< of conv_forward, shaped as y
    bool relu = false;      ///< of conv_forward
    bool keeps = false;     ///< attention_forward writes what backward reads
    /// Which plans may serve: in canonical jobs only those that give the same bits each time, and of fp32
    /// graphs those that round operands to TF32 only where the job allows it.
    bool deterministic = false;
    bool tf32 = true;
    std::int64_t workspace = 0;  ///< bytes that a plan may use at most

    [[nodiscard]] bool is_attention() const {
        return kind == GraphKind::attention_forward || kind == GraphKind::attention_backward;
    }
    /// All of it in one line: what tells two graphs apart, and the key of their plans on disk.
    [[nodiscard]] std::string str() const;
    bool operator==(const GraphSpec&) const = default;
};

/// A tensor of a graph, with cuDNN's four axes.
struct GraphTensor {
    std::string_view name;
    std::array<std::int64_t, 4> extents;
    std::array<std::int64_t, 4> strides;  ///< elements
    DType dtype;
    bool written;

    /// From the first to the last element.
    [[nodiscard]] std::int64_t bytes() const;
};

/// The tensors in the order in which a launch hands over their memory:
///
///     conv_forward                 x, w, bias?, residual?, y
///     conv_input_gradient          d_y, w, d_x
///     conv_weight_gradient         x, d_y, d_w
///     attention_forward            q, k, v, out, stats?               stats: fp32 [batch, heads, positions]
///     attention_backward           q, k, v, out, d_out, stats, d_q, d_k, d_v
///     conv_statistics              x, w, y, sum, squares
///     normalized_conv_statistics   x, scale, shift, w, y, sum, squares
///     normalized_weight_gradient   x, scale, shift, d_y, d_w
///     input_gradient_norm_sums     d_y, w, x, mean, deviation, scale, shift, d, d_scale, d_shift, from_d,
///                                  from_x, constant      (deviation: 1 / deviation; d_normed_x of the batch
///                                                         norm is from_d d + from_x x + constant)
[[nodiscard]] std::vector<GraphTensor> tensors_of(const GraphSpec& spec);

}  // namespace trireme::cudnn
