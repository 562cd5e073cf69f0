// The double of cuBLASLt itself: what it refuses, what its heuristics have to offer, and products that our
// steps do not ask for. Calls the library as a program does.
#include <cstdlib>
#include <functional>
#include <random>

#include <cublasLt.h>
#include <gtest/gtest.h>

#include "runtime/device/cuda/cuda_device.hpp"
#include "runtime/kernels/cublaslt/matmul_plans.hpp"
#include "tests/emulated/cublaslt/device_memory.hpp"

namespace trireme::emulated {
namespace {

using cublaslt::ColumnProduct;
using cublaslt::MatmulPlans;

constexpr std::int64_t room = 1 << 16;  // bytes

/// A product of the library's words with memory to run on: 16 x 8 of sums of 32, fp32.
class Call {
  public:
    Call() {
        cublasLtCreate(&handle);
        cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
        cublasLtMatrixLayoutCreate(&a, CUDA_R_32F, 16, 32, 16);
        cublasLtMatrixLayoutCreate(&b, CUDA_R_32F, 32, 8, 32);
        cublasLtMatrixLayoutCreate(&c, CUDA_R_32F, 16, 8, 16);
        cublasLtMatrixLayoutCreate(&d, CUDA_R_32F, 16, 8, 16);
        cublasLtMatmulPreferenceCreate(&preference);
        for (DeviceMemory* memory : {&a_memory, &b_memory, &c_memory}) {
            for (std::int64_t i = 0; i < room / 4; ++i)
                at(*memory, i) = static_cast<float>(random() % 17) - 8;
        }
        a_at = a_memory.data();
        b_at = b_memory.data();
        c_at = d_at = d_memory.data();
        workspace_at = workspace.data();
    }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    ~Call() {
        cublasLtMatmulPreferenceDestroy(preference);
        for (cublasLtMatrixLayout_t layout : {a, b, c, d}) cublasLtMatrixLayoutDestroy(layout);
        cublasLtMatmulDescDestroy(operation);
        cublasLtDestroy(handle);
    }

    template <class T>
    cublasStatus_t say(cublasLtMatmulDescAttributes_t name, T value) const {
        return cublasLtMatmulDescSetAttribute(operation, name, &value, sizeof(value));
    }
    template <class T>
    cublasStatus_t say(cublasLtMatmulPreferenceAttributes_t name, T value) const {
        return cublasLtMatmulPreferenceSetAttribute(preference, name, &value, sizeof(value));
    }
    template <class T>
    static cublasStatus_t say(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t name, T value) {
        return cublasLtMatrixLayoutSetAttribute(layout, name, &value, sizeof(value));
    }
    cublasStatus_t ask(int wanted = 8) {
        results.resize(static_cast<std::size_t>(wanted));
        int found = 0;
        const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
            handle, operation, a, b, c, d, preference, wanted, results.data(), &found);
        results.resize(static_cast<std::size_t>(found));
        if (found > 0) chosen = results[0].algo;
        return status;
    }
    cublasStatus_t run(cudaStream_t stream = nullptr) {
        return cublasLtMatmul(handle, operation, &alpha, a_at, a, b_at, b, &beta, c_at, c, d_at, d, &chosen,
                              workspace_at, workspace_size, stream);
    }
    static float& at(const DeviceMemory& memory, std::int64_t index) {
        return reinterpret_cast<float*>(memory.data())[index];
    }

    cublasLtHandle_t handle = nullptr;
    cublasLtMatmulDesc_t operation = nullptr;
    cublasLtMatrixLayout_t a = nullptr;
    cublasLtMatrixLayout_t b = nullptr;
    cublasLtMatrixLayout_t c = nullptr;
    cublasLtMatrixLayout_t d = nullptr;
    cublasLtMatmulPreference_t preference = nullptr;
    std::vector<cublasLtMatmulHeuristicResult_t> results;
    cublasLtMatmulAlgo_t chosen{};
    DeviceMemory a_memory{room, 0};
    DeviceMemory b_memory{room, 0};
    DeviceMemory c_memory{room, 0};
    DeviceMemory d_memory{room, 0};
    DeviceMemory workspace{room, 0};
    const void* a_at;
    const void* b_at;
    const void* c_at;
    void* d_at;
    void* workspace_at;
    std::size_t workspace_size = room;
    float alpha = 1;
    float beta = 0;
    std::mt19937 random{3};
};

template <class T>
T config(const cublasLtMatmulAlgo_t& algorithm, cublasLtMatmulAlgoConfigAttributes_t name) {
    T value{};
    std::size_t written = 0;
    EXPECT_EQ(cublasLtMatmulAlgoConfigGetAttribute(&algorithm, name, &value, sizeof(value), &written),
              CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(written, sizeof(value));
    return value;
}
int splits(const cublasLtMatmulHeuristicResult_t& result) {
    return config<std::int32_t>(result.algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
}

class EmulatedCublasltLibrary : public testing::Test {
  protected:
    void SetUp() override {
        if (const std::string reason = gpu::why_skip(); !reason.empty()) GTEST_SKIP() << reason;
        device_ = std::make_unique<CudaDevice>(0);
        stream_ = device_->make_stream();
    }
    void TearDown() override {
        for (const char* name :
             {"TRIREME_EMULATED_SEED", "TRIREME_EMULATED_UNREPEATABLE", "TRIREME_EMULATED_LACKS_EPILOGUES"})
            ::unsetenv(name);
    }
    /// What is broken before the heuristics are asked, and what they or the product say then.
    static void expect_refusal(
        const char* what, cublasStatus_t status, const std::function<void(Call&)>& before,
        const std::function<void(Call&)>& after = [](Call&) {}) {
        SCOPED_TRACE(what);
        Call call;
        call.say(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{room});
        before(call);
        const cublasStatus_t asked = call.ask();
        after(call);
        EXPECT_EQ(asked != CUBLAS_STATUS_SUCCESS ? asked : call.run(), status);
    }

    std::unique_ptr<CudaDevice> device_;
    std::unique_ptr<Stream> stream_;
};

TEST_F(EmulatedCublasltLibrary, AttributesHaveTheirNamesAndSizes) {
    const Call call;
    EXPECT_EQ(call.say(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(call.say(CUBLASLT_MATMUL_DESC_TRANSA, std::int64_t{1}), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(call.say(CUBLASLT_MATMUL_DESC_FAST_ACCUM, std::int8_t{1}), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(call.say(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, 4), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(Call::say(call.a, CUBLASLT_MATRIX_LAYOUT_LD, 16), CUBLAS_STATUS_INVALID_VALUE);
    EXPECT_EQ(cublasLtMatrixLayoutSetAttribute(call.a, CUBLASLT_MATRIX_LAYOUT_LD, nullptr, 8),
              CUBLAS_STATUS_INVALID_VALUE);
    cublasLtMatmulDesc_t gone = nullptr;
    cublasLtMatmulDescCreate(&gone, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    EXPECT_EQ(cublasLtMatmulDescDestroy(gone), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasLtMatmulDescDestroy(gone), CUBLAS_STATUS_INVALID_VALUE);
}

TEST_F(EmulatedCublasltLibrary, WhatIsNotAllowedIsRefusedWithItsStatus) {
    const auto nothing = [](Call&) {};
    constexpr auto invalid = CUBLAS_STATUS_INVALID_VALUE;
    constexpr auto unsupported = CUBLAS_STATUS_NOT_SUPPORTED;
    expect_refusal("nothing", CUBLAS_STATUS_SUCCESS, nothing);
    expect_refusal("columns that overlap", invalid,
                   [](Call& c) { Call::say(c.a, CUBLASLT_MATRIX_LAYOUT_LD, std::int64_t{15}); });
    expect_refusal("a transpose that does not fit", invalid,
                   [](Call& c) { c.say(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_T); });
    expect_refusal("operands of two types", unsupported, [](Call& c) {
        Call::say(c.a, CUBLASLT_MATRIX_LAYOUT_TYPE, static_cast<std::uint32_t>(CUDA_R_16BF));
    });
    expect_refusal("TF32 of bf16", unsupported, [](Call& c) {
        for (cublasLtMatrixLayout_t layout : {c.a, c.b, c.c, c.d})
            Call::say(layout, CUBLASLT_MATRIX_LAYOUT_TYPE, static_cast<std::uint32_t>(CUDA_R_16BF));
        c.say(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, CUBLAS_COMPUTE_32F_FAST_TF32);
    });
    expect_refusal("a mask of 64 bits a column", invalid, [](Call& c) {
        c.say(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_RELU_AUX);
        c.say(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, std::int64_t{64});
    });
    expect_refusal("a bias that is nowhere", invalid,
                   [](Call& c) { c.say(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS); });
    expect_refusal("a bias in host memory", invalid, [](Call& c) {
        alignas(256) static float bias[16];
        c.say(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
        c.say(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(bias));
    });
    expect_refusal("a matrix that is less aligned than was promised", invalid, nothing,
                   [](Call& c) { c.a_at = c.a_memory.data() + 16; });
    expect_refusal("a result on top of an operand", invalid, nothing,
                   [](Call& c) { c.d_at = c.a_memory.data(); });
    expect_refusal("a workspace too small", invalid, nothing, [](Call& c) { c.workspace_size = 4095; });
    expect_refusal("a workspace at 128", invalid, nothing,
                   [](Call& c) { c.workspace_at = c.workspace.data() + 128; });
    expect_refusal("no workspace", invalid, nothing, [](Call& c) { c.workspace_at = nullptr; });
    expect_refusal("an algorithm for another operation", invalid, nothing,
                   [](Call& c) { c.say(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, CUBLAS_COMPUTE_32F_FAST_TF32); });
    expect_refusal("an algorithm that nobody chose", invalid, nothing, [](Call& c) { c.chosen = {}; });
    expect_refusal("C of another shape", unsupported,
                   [](Call& c) { Call::say(c.c, CUBLASLT_MATRIX_LAYOUT_COLS, std::uint64_t{7}); });
    expect_refusal("memory that ends too early", invalid, nothing,
                   [](Call& c) { Call::say(c.b, CUBLASLT_MATRIX_LAYOUT_LD, std::int64_t{1} << 32); });
}

TEST_F(EmulatedCublasltLibrary, HeuristicsObeyTheirPreferences) {
    Call call;
    ASSERT_EQ(call.ask(), CUBLAS_STATUS_SUCCESS);
    for (const auto& result : call.results) EXPECT_EQ(result.workspaceSize, 0U);
    call.say(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{room});
    ASSERT_EQ(call.ask(), CUBLAS_STATUS_SUCCESS);
    EXPECT_GT(splits(call.results[0]), 1);
    EXPECT_EQ(call.results[0].workspaceSize, 4096U);
    for (const auto& result : call.results) {
        cublasLtMatmulHeuristicResult_t checked{};
        EXPECT_EQ(cublasLtMatmulAlgoCheck(call.handle, call.operation, call.a, call.b, call.c, call.d,
                                          &result.algo, &checked),
                  CUBLAS_STATUS_SUCCESS);
        EXPECT_EQ(checked.workspaceSize, result.workspaceSize);
    }
    call.say(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE});
    ASSERT_EQ(call.ask(), CUBLAS_STATUS_SUCCESS);
    const std::size_t aligned = call.results.size();
    for (const auto& result : call.results) EXPECT_EQ(splits(result), 1);
    call.say(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, std::uint32_t{4});
    ASSERT_EQ(call.ask(), CUBLAS_STATUS_SUCCESS);
    EXPECT_LT(call.results.size(), aligned);
    call.say(CUBLASLT_MATMUL_PREF_IMPL_MASK, std::uint64_t{CUBLASLT_NUMERICAL_IMPL_FLAGS_HMMA});
    EXPECT_EQ(call.ask(), CUBLAS_STATUS_NOT_SUPPORTED);
}

TEST_F(EmulatedCublasltLibrary, EpiloguesCanBeTakenAway) {
    Call call;
    call.say(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_GELU);
    EXPECT_EQ(call.ask(), CUBLAS_STATUS_SUCCESS);
    ::setenv("TRIREME_EMULATED_LACKS_EPILOGUES", "32", 1);
    EXPECT_EQ(call.ask(), CUBLAS_STATUS_NOT_SUPPORTED);
}

/// D = 2 A B' - 3 C with B and C row-major, three times.
TEST_F(EmulatedCublasltLibrary, OrdersBatchesAndScalarsAreHonoured) {
    Call call;
    call.say(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_T);
    cublasLtMatrixLayoutDestroy(call.b);
    cublasLtMatrixLayoutCreate(&call.b, CUDA_R_32F, 8, 32, 35);
    for (cublasLtMatrixLayout_t layout : {call.b, call.c, call.d})
        Call::say(layout, CUBLASLT_MATRIX_LAYOUT_ORDER, std::int32_t{CUBLASLT_ORDER_ROW});
    for (cublasLtMatrixLayout_t layout : {call.a, call.b, call.c, call.d}) {
        Call::say(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, 3);
        Call::say(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, std::int64_t{600});
    }
    Call::say(call.c, CUBLASLT_MATRIX_LAYOUT_LD, std::int64_t{9});
    call.c_at = call.c_memory.data();
    call.alpha = 2;
    call.beta = -3;
    ASSERT_EQ(call.ask(), CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(call.run(), CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    for (std::int64_t i = 0; i < std::int64_t{3} * 16 * 8; ++i) {
        const std::int64_t batch = i / 128 * 600;
        const std::int64_t row = i % 128 / 8;
        const std::int64_t column = i % 8;
        float want = -3 * Call::at(call.c_memory, batch + row * 9 + column);
        for (std::int64_t k = 0; k < 32; ++k)
            want += 2 * Call::at(call.a_memory, batch + k * 16 + row) *
                    Call::at(call.b_memory, batch + column * 35 + k);
        ASSERT_EQ(Call::at(call.d_memory, batch + row * 16 + column), want) << i;
    }
}

/// The sums of a deterministic job do not depend on the GPU, others do.
TEST_F(EmulatedCublasltLibrary, DeterministicPlansHaveTheirBitsOnEveryGpu) {
    ColumnProduct product{.a = {64, 333, 64, DType::f32, 256},
                          .b = {333, 16, 333, DType::f32, 4},
                          .d = {64, 16, 64, DType::f32, 256},
                          .workspace_size = Bytes(room)};
    std::mt19937 random(5);
    DeviceMemory a(64 * 333 * 4, 0);
    DeviceMemory b(333 * 16 * 4, 4);
    std::normal_distribution<float> values;
    for (std::int64_t i = 0; i < std::int64_t{64} * 333; ++i) Call::at(a, i) = values(random);
    for (std::int64_t i = 0; i < std::int64_t{16} * 333; ++i) Call::at(b, i) = values(random);
    const auto bits = [&](bool deterministic, const char* name, const char* value) {
        ::setenv(name, value, 1);
        MatmulPlans plans(deterministic);
        std::string all;
        for (int time = 0; time < 2; ++time) {
            DeviceMemory d(64 * 16 * 4, 0);
            DeviceMemory workspace(room, 0);
            plans.run(*plans.plan(product), *stream_,
                      {.a = a.data(), .b = b.data(), .d = d.data(), .workspace = workspace.data()});
            stream_->synchronize();
            all.append(reinterpret_cast<const char*>(d.data()), std::size_t{64} * 16 * 4);
        }
        ::unsetenv(name);
        return all;
    };
    const auto halves_differ = [](const std::string& s) {
        return s.substr(0, s.size() / 2) != s.substr(s.size() / 2);
    };
    for (const bool deterministic : {true, false}) {
        const std::string first = bits(deterministic, "TRIREME_EMULATED_SEED", "1");
        EXPECT_FALSE(halves_differ(first));
        EXPECT_EQ(first == bits(deterministic, "TRIREME_EMULATED_SEED", "2"), deterministic);
        EXPECT_EQ(halves_differ(bits(deterministic, "TRIREME_EMULATED_UNREPEATABLE", "1")), !deterministic);
    }
}

/// A graph has all that it needs: descriptors may be gone, operands be new.
TEST_F(EmulatedCublasltLibrary, CapturedProductsRunAgain) {
    DeviceMemory a(16, 0);
    DeviceMemory b(16, 0);
    DeviceMemory d(16, 0);
    std::unique_ptr<LaunchGraph> graph;
    {
        MatmulPlans plans(false);
        const ColumnProduct product{.a = {1, 1, 1, DType::f32, 256},
                                    .b = {1, 1, 1, DType::f32, 256},
                                    .d = {1, 1, 1, DType::f32, 256}};
        stream_->begin_capture();
        plans.run(*plans.plan(product), *stream_, {.a = a.data(), .b = b.data(), .d = d.data()});
        graph = stream_->end_capture();
    }
    for (const float value : {2.0F, 3.0F}) {
        Call::at(a, 0) = value;
        Call::at(b, 0) = 10;
        stream_->launch(*graph);
        stream_->synchronize();
        EXPECT_EQ(Call::at(d, 0), 10 * value);
    }
}

}  // namespace
}  // namespace trireme::emulated
