// Products as runtime/kernels/cublaslt describes them to the library, next to the definition in fp64: what we
// say must mean what we want. Runs on the emulated GPU, and on any other.
#include <array>
#include <cmath>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "runtime/device/cuda/cuda_device.hpp"
#include "runtime/kernels/cublaslt/matmul_plans.hpp"
#include "tests/emulated/cublaslt/device_memory.hpp"
#include "tests/support/column_products.hpp"
#include "tests/support/recipe_products.hpp"

namespace trireme::emulated {
namespace {

using cublaslt::ColumnMatrix;
using cublaslt::ColumnProduct;
using cublaslt::Epilogue;
using cublaslt::MatmulPlans;
using cublaslt::Multiply;
using cublaslt::ProductMemory;
using test::set_value;
using test::value_at;

std::int64_t bytes_of(const ColumnMatrix& m) {
    return ((m.columns - 1) * m.leading + m.rows) * trireme::size_of(m.dtype);
}
bool has_mask(Epilogue epilogue) {
    return epilogue == Epilogue::relu_aux_bias || epilogue == Epilogue::drelu;
}
std::int64_t vector_length(const ColumnProduct& p) {
    return p.epilogue == Epilogue::sum_a ? p.d.columns : p.d.rows;
}
std::int64_t aux_bytes(const ColumnProduct& p) {
    if (has_mask(p.epilogue)) return p.aux_leading / 8 * p.d.columns;
    return ((p.d.columns - 1) * p.aux_leading + p.d.rows) * trireme::size_of(p.d.dtype);
}
/// What is aligned to no more than `alignment` lies so many bytes behind a multiple of 256.
std::int64_t past(std::int64_t alignment) { return alignment % 256; }

struct Region2d {
    std::int64_t rows;
    std::int64_t columns;
    std::int64_t leading;
};

/// The same with a result, and an aux, that are not rounded: what the definition is asked for.
ColumnProduct unrounded(ColumnProduct p) {
    p.d.dtype = DType::f32;
    if (p.epilogue == Epilogue::sum_a) p.vector_dtype = DType::f32;
    return p;
}

/// The operands of a product twice: for the library, and for the definition.
class Operands {
  public:
    Operands(const ColumnProduct& product, std::uint32_t seed) : p_(product), random_(seed) {
        const ColumnProduct exact = unrounded(p_);
        for (const auto member : {&ColumnProduct::a, &ColumnProduct::b}) {
            const ColumnMatrix& m = p_.*member;
            const Pair pair = add(bytes_of(m), bytes_of(m), m.alignment);
            fill(pair, m.dtype, m.dtype, bytes_of(m) / trireme::size_of(m.dtype));
            place(member == &ColumnProduct::a ? &ProductMemory::a : &ProductMemory::b, pair);
        }
        place(&ProductMemory::d, add(bytes_of(p_.d), bytes_of(exact.d), p_.d.alignment));
        if (p_.vector_alignment > 0) {
            const std::int64_t length = vector_length(p_);
            const Pair pair = add(length * trireme::size_of(p_.vector_dtype),
                                  length * trireme::size_of(exact.vector_dtype), p_.vector_alignment);
            if (p_.epilogue == Epilogue::sum_a) {
                place(&ProductMemory::sums, pair);
            } else {
                fill(pair, p_.vector_dtype, p_.vector_dtype, length);
                place(&ProductMemory::bias, pair);
            }
        }
        if (p_.aux_leading > 0) {
            const Pair pair = add(aux_bytes(p_), aux_bytes(exact), p_.aux_alignment);
            if (p_.epilogue == Epilogue::dgelu)
                fill(pair, p_.d.dtype, DType::f32, aux_bytes(exact) / trireme::size_of(DType::f32));
            place(&ProductMemory::aux, pair);
        }
        place(&ProductMemory::workspace, add(p_.workspace_size.value, p_.workspace_size.value, 256));
    }

    /// A mask is read by who wrote it alone, so the product that wrote it lends it.
    void take_mask_of(const Operands& writer) {
        ours.aux = writer.ours.aux;
        wanted.aux = writer.wanted.aux;
    }
    /// Nothing is written but what belongs to each.
    [[nodiscard]] bool margins_are_whole() const {
        if (!ours_[2].is_whole(bytes_of(p_.d))) return false;
        for (std::int64_t column = 0; column + 1 < p_.d.columns; ++column) {
            for (std::int64_t row = p_.d.rows; row < p_.d.leading; ++row) {
                if (!std::isnan(value_at(ours.d, p_.d.dtype, column * p_.d.leading + row))) return false;
            }
        }
        return true;
    }

    ProductMemory ours;
    ProductMemory wanted;

  private:
    using Pair = std::array<std::byte*, 2>;  ///< the library's, the definition's

    Pair add(std::int64_t bytes, std::int64_t exact_bytes, std::int64_t alignment) {
        ours_.emplace_back(bytes, past(alignment));
        wanted_.emplace_back(exact_bytes, past(alignment));
        return {ours_.back().data(), wanted_.back().data()};
    }
    /// TF32 operands have no more bits than it, so that sums can be held against exact ones.
    void fill(const Pair& pair, DType dtype, DType exact, std::int64_t count) {
        std::normal_distribution<double> values;
        for (std::int64_t i = 0; i < count; ++i) {
            double value = test::rounded(values(random_), dtype);
            if (p_.multiply == Multiply::tf32) value = test::rounded(value, DType::f16);
            set_value(pair[0], dtype, i, value);
            set_value(pair[1], exact, i, value);
        }
    }
    template <class Member>
    void place(Member member, const Pair& pair) {
        ours.*member = pair[0];
        wanted.*member = pair[1];
    }

    ColumnProduct p_;
    std::mt19937 random_;
    std::vector<DeviceMemory> ours_;
    std::vector<DeviceMemory> wanted_;
};

/// fp32 sums of some hundred terms, as a part of the largest value.
constexpr double tolerance = 1e-5;

/// The largest difference as a part of the largest wanted value, less what rounding to `dtype` explains.
/// Infinite where something is not a number.
double difference(const std::byte* got, const std::byte* want, DType dtype, const Region2d& region) {
    const double unit = dtype == DType::f32 ? 0 : dtype == DType::bf16 ? 0x1p-8 : 0x1p-11;
    double largest = 1e-2;  // gelu takes what is far below 0 to next to nothing
    double error = 0;
    for (std::int64_t column = 0; column < region.columns; ++column) {
        for (std::int64_t row = 0; row < region.rows; ++row) {
            const double w = value_at(want, DType::f32, column * region.leading + row);
            const double g = value_at(got, dtype, column * region.leading + row);
            if (!std::isfinite(w) || !std::isfinite(g)) return INFINITY;
            largest = std::max(largest, std::abs(w));
            error = std::max(error, std::abs(w - g) - unit * std::abs(w));
        }
    }
    return error / largest;
}

class EmulatedCublaslt : public testing::Test {
  protected:
    void SetUp() override {
        if (const std::string reason = gpu::why_skip(); !reason.empty()) GTEST_SKIP() << reason;
        device_ = std::make_unique<CudaDevice>(0);
        stream_ = device_->make_stream();
    }

    void run(MatmulPlans& plans, const ColumnProduct& p, Operands& operands) {
        const auto plan = plans.plan(p);
        ASSERT_NE(plan, nullptr) << plans.refusal();
        plans.run(*plan, *stream_, operands.ours);
        stream_->synchronize();
        test::ColumnProducts::run(unrounded(p), *stream_, operands.wanted);
    }

    static void expect_equal(const ColumnProduct& p, const Operands& operands) {
        const ProductMemory& ours = operands.ours;
        const ProductMemory& wanted = operands.wanted;
        EXPECT_LE(difference(ours.d, wanted.d, p.d.dtype, {p.d.rows, p.d.columns, p.d.leading}), tolerance);
        EXPECT_TRUE(operands.margins_are_whole());
        if (ours.sums != nullptr) {
            EXPECT_LE(difference(ours.sums, wanted.sums, p.vector_dtype, {p.d.columns, 1, 0}), tolerance);
        }
        if (p.epilogue == Epilogue::gelu_aux_bias) {
            EXPECT_LE(difference(ours.aux, wanted.aux, p.d.dtype, {p.d.rows, p.d.columns, p.aux_leading}),
                      tolerance);
        }
    }

    /// A product that reads a mask is run behind one that writes it.
    void check(MatmulPlans& plans, const ColumnProduct& p, std::uint32_t seed) {
        SCOPED_TRACE(p.str());
        Operands operands(p, seed);
        if (p.epilogue != Epilogue::drelu) {
            run(plans, p, operands);
            return expect_equal(p, operands);
        }
        ColumnProduct writer = p;
        writer.epilogue = Epilogue::relu_aux_bias;
        writer.vector_alignment = 256;
        writer.vector_dtype = p.d.dtype;
        Operands written(writer, seed + 1);
        run(plans, writer, written);
        expect_equal(writer, written);
        operands.take_mask_of(written);
        run(plans, p, operands);
        expect_equal(p, operands);
    }

    std::unique_ptr<CudaDevice> device_;
    std::unique_ptr<Stream> stream_;
};

/// A product of the same form with fewer rows and columns: what extents are multiples of stays.
ColumnProduct small(ColumnProduct p) {
    const auto less = [](std::int64_t extent) { return extent <= 48 ? extent : 32 + extent % 16; };
    const auto unit = has_mask(p.epilogue) ? 128 : 8;
    const bool tight_aux = p.aux_leading - p.d.rows < unit;
    for (ColumnMatrix* m : {&p.a, &p.b, &p.d}) {
        const std::int64_t more = m->leading - m->rows;
        m->rows = less(m->rows);
        m->columns = less(m->columns);
        m->leading = m->rows + more;
    }
    if (p.aux_leading > 0 && tight_aux) p.aux_leading = (p.d.rows + unit - 1) / unit * unit;
    return p;
}

TEST_F(EmulatedCublaslt, ProductsOfEveryPresetMeanWhatTheyShould) {
    std::map<std::string, ColumnProduct> forms;
    for (const auto& precision : test::product_precisions) {
        const DeviceModel model{.sm = 90, .tf32 = precision.tf32};
        for (const auto& [text, product] : test::products_of_recipes(precision.dtype, model, 32).products) {
            ColumnProduct form = small(product);
            form.workspace_size = Bytes(1 << 17);
            forms.emplace(form.str(), form);
        }
    }
    EXPECT_GT(forms.size(), 50U);
    std::uint32_t seed = 0;
    for (const bool deterministic : {false, true}) {
        MatmulPlans plans(deterministic);
        for (const auto& [text, form] : forms) check(plans, form, ++seed);
    }
    fmt::print("{} forms of products\n", forms.size());
}

struct Types {
    DType operand;
    DType result;
    Multiply multiply;
};
constexpr Types all_types[] = {
    {DType::f32, DType::f32, Multiply::fp32},   {DType::f32, DType::f32, Multiply::tf32},
    {DType::bf16, DType::bf16, Multiply::fp32}, {DType::bf16, DType::f32, Multiply::fp32},
    {DType::f16, DType::f16, Multiply::fp32},   {DType::f16, DType::f32, Multiply::fp32},
};

struct Extents {
    std::int64_t m;
    std::int64_t n;
    std::int64_t k;
};
constexpr Extents all_extents[] = {{1, 1, 1}, {7, 5, 13}, {130, 9, 67}, {64, 200, 48}, {33, 3, 600}};

/// One of each kind of everything else, chosen by `random`.
ColumnProduct product_of(Epilogue epilogue, const Types& types, const Extents& e, std::mt19937& random) {
    const auto one_of = [&](std::initializer_list<std::int64_t> values) {
        return values.begin()[random() % values.size()];
    };
    const std::int64_t natural = trireme::size_of(types.operand);
    const auto matrix = [&](std::int64_t rows, std::int64_t columns, DType dtype) {
        const std::int64_t padded = (rows + 7) / 8 * 8;
        return ColumnMatrix{rows, columns, one_of({rows, padded, rows + 3}), dtype,
                            one_of({256, 16, std::max(natural, trireme::size_of(dtype))})};
    };
    ColumnProduct p;
    p.epilogue = epilogue;
    p.multiply = types.multiply;
    p.transpose_a = random() % 2 == 0;
    p.transpose_b = random() % 2 == 0;
    p.a = p.transpose_a ? matrix(e.k, e.m, types.operand) : matrix(e.m, e.k, types.operand);
    p.b = p.transpose_b ? matrix(e.n, e.k, types.operand) : matrix(e.k, e.n, types.operand);
    p.d = matrix(e.m, e.n, types.result);
    p.workspace_size = Bytes(one_of({0, 4096, 1 << 20}));
    switch (epilogue) {
        case Epilogue::none:
        case Epilogue::relu:
        case Epilogue::drelu:
        case Epilogue::dgelu:
            break;
        default:
            p.vector_dtype = types.result;
            p.vector_alignment = one_of({256, 16, trireme::size_of(types.result)});
    }
    const bool aux = epilogue == Epilogue::gelu_aux_bias || epilogue == Epilogue::dgelu || has_mask(epilogue);
    if (aux) {
        const std::int64_t unit = has_mask(epilogue) ? 128 : 8;
        p.aux_leading = (e.m + unit - 1) / unit * unit + one_of({0, unit});
        p.aux_alignment = one_of({256, 16});
    }
    return p;
}

TEST_F(EmulatedCublaslt, EveryEpilogueInEveryPrecisionMeansWhatItShould) {
    MatmulPlans free(false);
    MatmulPlans deterministic(true);
    std::mt19937 random(7);
    for (int epilogue = 0; epilogue <= static_cast<int>(Epilogue::sum_a); ++epilogue) {
        for (const Types& types : all_types) {
            for (const Extents& extents : all_extents) {
                for (int time = 0; time < 3; ++time) {
                    const ColumnProduct p =
                        product_of(static_cast<Epilogue>(epilogue), types, extents, random);
                    check(time % 2 == 0 ? free : deterministic, p, static_cast<std::uint32_t>(random()));
                }
            }
        }
    }
}

/// fp32 products are not TF32 unless this is asked for.
TEST_F(EmulatedCublaslt, Tf32IsWhereItIsAskedFor) {
    MatmulPlans plans(false);
    ColumnProduct p{.a = {64, 64, 64, DType::f32, 256},
                    .b = {64, 64, 64, DType::f32, 256},
                    .d = {64, 64, 64, DType::f32, 256}};
    double errors[2] = {};
    for (const Multiply multiply : {Multiply::fp32, Multiply::tf32}) {
        p.multiply = Multiply::fp32;  // operands of 24 bits
        Operands operands(p, 1);
        p.multiply = multiply;
        run(plans, p, operands);
        errors[multiply == Multiply::tf32] =
            difference(operands.ours.d, operands.wanted.d, DType::f32, {64, 64, 64});
    }
    EXPECT_LT(errors[0], 1e-5);
    EXPECT_GT(errors[1], 1e-5);
}

}  // namespace
}  // namespace trireme::emulated
