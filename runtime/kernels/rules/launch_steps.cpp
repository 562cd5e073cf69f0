#include "runtime/kernels/rules/launch_steps.hpp"

#include <numeric>

#include "runtime/core/alignment.hpp"
#include "runtime/core/error.hpp"

namespace trireme::cublaslt {
namespace {

const std::byte* piece_of(const Operand& operand, const KernelBuffers& b) {
    const auto index = static_cast<std::size_t>(operand.index);
    switch (operand.place) {
        case Place::input:
            return b.inputs.at(index);
        case Place::param:
            return b.params.at(index);
        case Place::none:
            return nullptr;
        default:
            return writable({operand.place, operand.index, 0, operand.dtype}, b);
    }
}

}  // namespace

const std::byte* address_of(const Operand& operand, const KernelBuffers& b) {
    const std::byte* piece = piece_of(operand, b);
    return piece == nullptr ? nullptr : piece + operand.offset;
}

std::byte* writable(const Operand& operand, const KernelBuffers& b) {
    const auto piece = [&]() -> std::byte* {
        switch (operand.place) {
            case Place::output:
                return b.output;
            case Place::d_output:
                return b.d_output;
            case Place::d_input:
                return b.d_inputs.at(static_cast<std::size_t>(operand.index));
            case Place::d_param:
                return b.d_params.at(static_cast<std::size_t>(operand.index));
            case Place::saved:
                return b.saved;
            case Place::scratch:
                return b.scratch;
            case Place::forward_weights:
                return b.forward_weights;
            case Place::backward_weights:
                return b.backward_weights;
            case Place::none:
            case Place::input:
            case Place::param:
                break;
        }
        throw InternalError("a step writes where a launch only reads");
    };
    return piece() + operand.offset;
}

std::int64_t alignment_of(const Operand& operand) { return std::gcd(buffer_alignment, operand.offset); }

std::string_view name_of(Epilogue epilogue) {
    switch (epilogue) {
        case Epilogue::none:
            return "none";
        case Epilogue::bias:
            return "bias";
        case Epilogue::relu:
            return "relu";
        case Epilogue::relu_bias:
            return "relu_bias";
        case Epilogue::relu_aux_bias:
            return "relu_aux_bias";
        case Epilogue::gelu_bias:
            return "gelu_bias";
        case Epilogue::gelu_aux_bias:
            return "gelu_aux_bias";
        case Epilogue::drelu:
            return "drelu";
        case Epilogue::dgelu:
            return "dgelu";
        case Epilogue::sum_a:
            return "bgrad";
    }
    return "?";
}

}  // namespace trireme::cublaslt
