// Products as cuBLASLt's documentation defines them, evaluated on the CPU in fp64: column-major matrices,
// epilogues by name. What steps and layouts are tested against, with no GPU and no library.
#pragma once

#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <numbers>
#include <string>

#include "runtime/core/alignment.hpp"
#include "runtime/core/error.hpp"
#include "runtime/device/device.hpp"
#include "runtime/kernels/rules/column_major.hpp"
#include "tests/support/memory_values.hpp"

namespace trireme::test {

class ColumnProducts {
  public:
    using Plan = cublaslt::ColumnProduct;
    using Epilogue = cublaslt::Epilogue;

    /// Which products there is an algorithm for; all by default.
    std::function<bool(const Plan&)> has = [](const Plan&) { return true; };

    [[nodiscard]] std::shared_ptr<Plan> plan(const Plan& product) {
        if (!has(product)) return nullptr;
        return std::make_shared<Plan>(product);
    }
    [[nodiscard]] static std::string refusal() { return "the test has no algorithm for it"; }

    static void run(const Plan& p, Stream&, const cublaslt::ProductMemory& memory) {
        const std::int64_t inner = p.transpose_a ? p.a.rows : p.a.columns;
        ensure((p.transpose_a ? p.a.columns : p.a.rows) == p.d.rows, "op(A) has D's rows");
        ensure((p.transpose_b ? p.b.rows : p.b.columns) == p.d.columns, "op(B) has D's columns");
        ensure((p.transpose_b ? p.b.columns : p.b.rows) == inner, "op(A) and op(B) fit each other");
        spoil_workspace(p, memory);
        for (std::int64_t column = 0; column < p.d.columns; ++column) {
            for (std::int64_t row = 0; row < p.d.rows; ++row) {
                double sum = 0;
                for (std::int64_t k = 0; k < inner; ++k) {
                    const auto a =
                        p.transpose_a ? element(p.a, memory.a, k, row) : element(p.a, memory.a, row, k);
                    const auto b =
                        p.transpose_b ? element(p.b, memory.b, column, k) : element(p.b, memory.b, k, column);
                    sum += a * b;
                }
                sum = finished(p, memory, row, column, sum);
                set_value(memory.d, p.d.dtype, column * p.d.leading + row, sum);
            }
        }
        if (p.epilogue == Epilogue::sum_a) sum_of_b(p, memory, inner);
    }

  private:
    static double element(const cublaslt::ColumnMatrix& m, const std::byte* memory, std::int64_t row,
                          std::int64_t column) {
        return value_at(memory, m.dtype, column * m.leading + row);
    }

    static void spoil_workspace(const Plan& p, const cublaslt::ProductMemory& memory) {
        if (p.workspace_size.value == 0) return;
        ensure(aligned_up(memory.workspace, workspace_alignment) == memory.workspace,
               "cuBLASLt wants its workspace at a multiple of 256 bytes");
        std::memset(memory.workspace, 0xA7, static_cast<std::size_t>(p.workspace_size.value));
    }

    /// BGRADB: along k, a value for each column of D.
    static void sum_of_b(const Plan& p, const cublaslt::ProductMemory& memory, std::int64_t inner) {
        for (std::int64_t column = 0; column < p.d.columns; ++column) {
            double sum = 0;
            for (std::int64_t k = 0; k < inner; ++k) {
                sum += p.transpose_b ? element(p.b, memory.b, column, k) : element(p.b, memory.b, k, column);
            }
            set_value(memory.sums, p.vector_dtype, column, sum);
        }
    }

    static double gelu(double x) {
        return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    }
    static double gelu_slope(double x) {
        const double root = std::sqrt(2 / std::numbers::pi);
        const double t = std::tanh(root * (x + 0.044715 * x * x * x));
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * root * (1 + 3 * 0.044715 * x * x);
    }

    /// One element of D, in fp64 until it is stored.
    static double finished(const Plan& p, const cublaslt::ProductMemory& memory, std::int64_t row,
                           std::int64_t column, double sum) {
        if (memory.bias != nullptr) sum += value_at(memory.bias, p.vector_dtype, row);
        const std::int64_t aux = column * p.aux_leading + row;
        switch (p.epilogue) {
            case Epilogue::relu_aux_bias:
                set_bit(memory.aux, aux, sum > 0);
                [[fallthrough]];
            case Epilogue::relu:
            case Epilogue::relu_bias:
                return std::max(sum, 0.0);
            case Epilogue::gelu_aux_bias:
                set_value(memory.aux, p.d.dtype, aux, sum);
                [[fallthrough]];
            case Epilogue::gelu_bias:
                return gelu(sum);
            case Epilogue::drelu:
                return bit(memory.aux, aux) ? sum : 0;
            case Epilogue::dgelu:
                return sum * gelu_slope(value_at(memory.aux, p.d.dtype, aux));
            case Epilogue::none:
            case Epilogue::bias:
            case Epilogue::sum_a:
                return sum;
        }
        return sum;
    }

    /// An order of bits that is not that of our own kernels: whoever mixes the two is found out.
    static int shift(std::int64_t index) { return 7 - static_cast<int>(index % 8); }
    static void set_bit(std::byte* mask, std::int64_t index, bool on) {
        const std::byte one = std::byte{1} << shift(index);
        std::byte& at = mask[index / 8];
        at = on ? at | one : at & ~one;
    }
    static bool bit(const std::byte* mask, std::int64_t index) {
        return (mask[index / 8] >> shift(index) & std::byte{1}) != std::byte{0};
    }
};

}  // namespace trireme::test
