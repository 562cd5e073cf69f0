// Row-major products on a library of column-major ones: the layouts, evaluated by the column-major
// definition, against the product itself in fp64; for all transposes, padded rows, offsets and epilogues.
#include "runtime/kernels/rules/column_major.hpp"

#include <cmath>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/philox.hpp"
#include "runtime/device/cpu/cpu_device.hpp"
#include "tests/support/column_products.hpp"

namespace trireme::cublaslt {
namespace {

using trireme::test::ColumnProducts;
using trireme::test::value_at;

/// A matrix in memory of its own, of which the product reads a part; the rest is NaN.
class HostMatrix {
  public:
    HostMatrix(std::int64_t rows, std::int64_t columns, bool transposed, std::int64_t padding, DType dtype,
               std::string_view purpose)
        : rows_(rows), columns_(columns), transposed_(transposed), dtype_(dtype) {
        leading = (transposed ? rows : columns) + padding;
        memory.resize(static_cast<std::size_t>((transposed ? columns : rows) * leading * size_of(dtype)),
                      std::byte{0xff});
        const RandomStream random(3, purpose);
        for (std::int64_t r = 0; r < rows; ++r) {
            for (std::int64_t c = 0; c < columns; ++c) {
                const double value = 2.0 * random.uniform(static_cast<std::uint64_t>(r * columns + c)) - 1.0;
                trireme::test::set_value(memory.data(), dtype, place(r, c), value);
            }
        }
    }
    [[nodiscard]] std::int64_t place(std::int64_t r, std::int64_t c) const {
        return transposed_ ? c * leading + r : r * leading + c;
    }
    [[nodiscard]] double at(std::int64_t r, std::int64_t c) const {
        return value_at(memory.data(), dtype_, place(r, c));
    }
    [[nodiscard]] Matrix in(Place where) const {
        return {{.place = where, .dtype = dtype_}, leading, transposed_};
    }
    [[nodiscard]] std::vector<double> sums_of_rows() const {
        std::vector<double> sums(static_cast<std::size_t>(rows_), 0.0);
        for (std::int64_t r = 0; r < rows_; ++r)
            for (std::int64_t c = 0; c < columns_; ++c) sums[static_cast<std::size_t>(r)] += at(r, c);
        return sums;
    }

    std::vector<std::byte> memory;
    std::int64_t leading = 0;

  private:
    std::int64_t rows_;
    std::int64_t columns_;
    bool transposed_;
    DType dtype_;
};

struct Extents {
    std::int64_t rows;
    std::int64_t columns;
    std::int64_t inner;
};

void run(const Product& product, const KernelBuffers& b) {
    CpuDevice device("cpu", "test", 1);
    const std::unique_ptr<Stream> stream = device.make_stream();
    ColumnProducts::run(column_major(product), *stream, memory_of(product, b));
}

TEST(ColumnMajor, EveryTransposeAndPaddingIsTheRowMajorProduct) {
    for (const Extents e : {Extents{3, 4, 5}, {1, 7, 2}, {6, 1, 3}, {2, 3, 1}, {1, 1, 1}}) {
        for (int form = 0; form < 32; ++form) {
            const bool transpose_a = (form & 1) != 0;
            const bool transpose_b = (form & 2) != 0;
            SCOPED_TRACE(fmt::format("{}x{}x{} form {}", e.rows, e.columns, e.inner, form));
            const HostMatrix a(e.rows, e.inner, transpose_a, (form & 4) != 0 ? 3 : 0, DType::bf16, "a");
            const HostMatrix b(e.inner, e.columns, transpose_b, (form & 8) != 0 ? 2 : 0, DType::bf16, "b");
            HostMatrix d(e.rows, e.columns, false, (form & 16) != 0 ? 5 : 0, DType::f32, "d");
            Product product{.rows = e.rows, .columns = e.columns, .inner = e.inner};
            product.a = a.in(Place::input);
            product.b = b.in(Place::param);
            product.d = d.in(Place::output);
            KernelBuffers buffers;
            buffers.inputs = {a.memory.data()};
            buffers.params = {b.memory.data()};
            buffers.output = d.memory.data();
            run(product, buffers);
            for (std::int64_t r = 0; r < e.rows; ++r) {
                for (std::int64_t c = 0; c < e.columns; ++c) {
                    double want = 0;
                    for (std::int64_t k = 0; k < e.inner; ++k) want += a.at(r, k) * b.at(k, c);
                    ASSERT_NEAR(d.at(r, c), want, 1e-6) << r << ", " << c;
                }
            }
        }
    }
}

/// The layouts of the three products of a linear layer of 5 to 7 features over 4 rows, in words.
TEST(ColumnMajor, LayoutsOfALinearLayer) {
    const auto matrix = [](Place place, std::int64_t leading, bool transposed, DType dtype) {
        return Matrix{{.place = place, .dtype = dtype}, leading, transposed};
    };
    Product forward{.rows = 4, .columns = 7, .inner = 5};
    forward.a = matrix(Place::input, 5, false, DType::bf16);
    forward.b = matrix(Place::forward_weights, 8, true, DType::bf16);
    forward.d = matrix(Place::output, 7, false, DType::bf16);
    forward.epilogue = Epilogue::relu_bias;
    forward.vector = {.place = Place::forward_weights, .offset = 128, .dtype = DType::bf16};
    EXPECT_EQ(column_major(forward).str(),
              "tn 7x4x5 ld 8 5 7 bf16 bf16 bf16 align 64 64 64 relu_bias vector bf16 align 64 workspace 0");

    Product d_weight{.rows = 7, .columns = 5, .inner = 4};
    d_weight.a = matrix(Place::d_output, 7, true, DType::f16);
    d_weight.b = matrix(Place::input, 5, false, DType::f16);
    d_weight.d = matrix(Place::d_param, 5, false, DType::f32);
    d_weight.epilogue = Epilogue::sum_a;
    d_weight.vector = {.place = Place::d_param, .index = 1, .offset = 12};
    d_weight.workspace_size = Bytes(1024);
    EXPECT_EQ(column_major(d_weight).str(),
              "nt 5x7x4 ld 5 7 5 f16 f16 f32 align 64 64 64 bgrad vector f32 align 4 workspace 1024");

    Product d_input{.rows = 4, .columns = 5, .inner = 7};
    d_input.a = matrix(Place::d_output, 7, false, DType::f32);
    d_input.b = matrix(Place::param, 5, false, DType::f32);
    d_input.d = matrix(Place::d_input, 5, false, DType::f32);
    d_input.d.at.offset = 40;
    d_input.multiply = Multiply::tf32;
    EXPECT_EQ(column_major(d_input).str(), "nn 5x4x7 ld 5 7 5 f32 f32 f32 tf32 align 64 64 8 workspace 0");
}

TEST(ColumnMajor, VectorsLieAlongOurColumnsAndRows) {
    const HostMatrix a(3, 4, true, 0, DType::f32, "a");
    const HostMatrix b(4, 5, false, 0, DType::f32, "b");
    HostMatrix d(3, 5, false, 0, DType::f32, "d");
    const HostMatrix bias(1, 5, false, 0, DType::f32, "bias");
    HostMatrix sums(1, 3, false, 0, DType::f32, "sums");
    KernelBuffers buffers;
    buffers.inputs = {a.memory.data()};
    buffers.params = {b.memory.data(), bias.memory.data()};
    buffers.output = d.memory.data();
    buffers.d_params = {nullptr, sums.memory.data()};
    Product product{.rows = 3, .columns = 5, .inner = 4};
    product.a = a.in(Place::input);
    product.b = b.in(Place::param);
    product.d = d.in(Place::output);
    run(product, buffers);
    const HostMatrix plain = d;

    product.epilogue = Epilogue::relu_bias;
    product.vector = {.place = Place::param, .index = 1};
    run(product, buffers);
    for (std::int64_t r = 0; r < 3; ++r) {
        for (std::int64_t c = 0; c < 5; ++c)
            EXPECT_NEAR(d.at(r, c), std::max(plain.at(r, c) + bias.at(0, c), 0.0), 1e-6);
    }

    product.epilogue = Epilogue::sum_a;
    product.vector = {.place = Place::d_param, .index = 1};
    run(product, buffers);
    const std::vector<double> want = a.sums_of_rows();
    for (std::int64_t r = 0; r < 3; ++r) EXPECT_NEAR(sums.at(0, r), want[static_cast<std::size_t>(r)], 1e-6);
}

TEST(ColumnMajor, RefusesWhatDoesNotFit) {
    Product product{.rows = 3, .columns = 5, .inner = 4};
    product.a = {{.place = Place::input}, 4};
    product.b = {{.place = Place::param}, 5};
    product.d = {{.place = Place::output}, 5};
    EXPECT_NO_THROW((void)column_major(product));
    const auto throws = [&](auto&& change) {
        Product changed = product;
        change(changed);
        EXPECT_THROW((void)column_major(changed), InternalError);
    };
    throws([](Product& p) { p.a.leading = 3; });
    throws([](Product& p) { p.b.transposed = true, p.b.leading = 3; });
    throws([](Product& p) { p.d.transposed = true; });
    throws([](Product& p) { p.inner = 0; });
    throws([](Product& p) { p.epilogue = Epilogue::bias; });
    throws([](Product& p) { p.vector = {.place = Place::param}; });
    throws([](Product& p) { p.epilogue = Epilogue::dgelu; });
    throws([](Product& p) { p.epilogue = Epilogue::dgelu, p.aux = {{.place = Place::saved}, 5}; });
    throws([](Product& p) { p.epilogue = Epilogue::drelu, p.aux = {{.place = Place::saved}, 8}; });
    KernelBuffers buffers;
    buffers.params = {nullptr, nullptr};
    EXPECT_THROW((void)writable({.place = Place::param, .index = 1}, buffers), InternalError);
}

}  // namespace
}  // namespace trireme::cublaslt
