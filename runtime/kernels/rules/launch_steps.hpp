// The launches of a node as data: which matrices are multiplied, converted or masked, and in which memory of
// the launch they lie. Made without a device (cublaslt_steps.hpp); one interpreter runs them on a GPU,
// another in tests on the CPU, so that what is proved here without a GPU is what runs there.
//
// All matrices are row-major: element (r, c) lies at r * leading + c.
#pragma once

#include <variant>
#include <vector>

#include "runtime/kernels/kernel_rules.hpp"

namespace trireme::cublaslt {

/// The pieces of memory that KernelBuffers names.
enum class Place : std::uint8_t {
    none,
    input,
    output,
    param,
    d_output,
    d_input,
    d_param,
    saved,
    scratch,
    forward_weights,
    backward_weights,
};

/// Where an operand begins. Pieces begin at multiples of buffer_alignment.
struct Operand {
    Place place = Place::none;
    int index = 0;            ///< of inputs and parameters
    std::int64_t offset = 0;  ///< bytes into the piece
    DType dtype = DType::f32;

    /// The same matrix from `elements` on.
    [[nodiscard]] Operand from(std::int64_t elements) const {
        Operand moved = *this;
        moved.offset += elements * size_of(dtype);
        return moved;
    }
    [[nodiscard]] explicit operator bool() const { return place != Place::none; }
    bool operator==(const Operand&) const = default;
};

struct Matrix {
    Operand at;
    std::int64_t leading = 0;  ///< elements from a row to the next
    bool transposed = false;   ///< what lies there is the transpose of what is multiplied
};

/// How fp32 operands are multiplied; 16-bit ones are exact either way. Sums are formed in fp32.
enum class Multiply : std::uint8_t {
    fp32,
    tf32,  ///< operands rounded to 10 bits of mantissa
};

/// What a product does beside multiplying, in the terms of `d = a b` with a vector of as many values as the
/// place says and a matrix `aux` shaped as d. In this order: vector, aux, activation.
enum class Epilogue : std::uint8_t {
    none,
    bias,           ///< d + vector[column]
    relu,           ///< relu(d)
    relu_bias,      ///< relu(d + vector[column])
    relu_aux_bias,  ///< the same; aux, a bit each, says where the value is above zero
    gelu_bias,      ///< gelu(d + vector[column]) in its tanh form
    gelu_aux_bias,  ///< the same; aux is what gelu was taken of
    drelu,          ///< d where aux has a bit, else 0
    dgelu,          ///< d times the derivative of gelu at aux
    sum_a,          ///< vector[row] becomes the sum of a's row
};

/// d [rows, columns] = a [rows, inner] b [inner, columns], then the epilogue. d is overwritten.
struct Product {
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t inner = 0;
    Matrix a = {};
    Matrix b = {};
    Matrix d = {};  ///< never transposed
    Multiply multiply = Multiply::fp32;
    Epilogue epilogue = Epilogue::none;
    Operand vector = {};
    Matrix aux =
        {};  ///< of relu: leading counts bits, a multiple of 128; of gelu: elements of d's type, of 8
    Operand workspace = {};     ///< used from the first multiple of workspace_alignment on,
    Bytes workspace_size = {};  ///< so workspace_reserve lies there beside it
};

/// to[r, c] = from[r, c] in another element type.
struct Convert {
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    Matrix from;
    Matrix to;
};

/// d_output[i] becomes 0 where output[i] is not above 0.
struct ReluGradient {
    std::int64_t elements = 0;
    DType dtype = DType::f32;
};

using LaunchStep = std::variant<Product, Convert, ReluGradient>;

/// What a node does in each pass (NodeKernels), in order.
struct NodeSteps {
    NodeRules rules;
    std::vector<LaunchStep> pack_forward;
    std::vector<LaunchStep> pack_backward;
    std::vector<LaunchStep> forward;
    std::vector<LaunchStep> backward_activation;
    std::vector<LaunchStep> backward_weight;
    std::vector<LaunchStep> backward_input;
};

/// The memory of an operand; null for none.
[[nodiscard]] const std::byte* address_of(const Operand& operand, const KernelBuffers& b);
/// The same to be written. Throws InternalError for inputs and parameters.
[[nodiscard]] std::byte* writable(const Operand& operand, const KernelBuffers& b);

/// The largest power of two up to buffer_alignment that an operand's address is a multiple of.
[[nodiscard]] std::int64_t alignment_of(const Operand& operand);

[[nodiscard]] std::string_view name_of(Epilogue epilogue);

}  // namespace trireme::cublaslt
