// What the documentation of cuDNN's backend API forbids is an error of the emulated library.
#include <cudnn.h>
#include <gtest/gtest.h>

#include "tests/emulated/cudnn/graph_trial.hpp"

namespace trireme::emulated {
namespace {

/// A descriptor by cuDNN's own functions.
class Raw {
  public:
    explicit Raw(cudnnBackendDescriptorType_t type) {
        EXPECT_EQ(cudnnBackendCreateDescriptor(type, &descriptor_), CUDNN_STATUS_SUCCESS);
    }
    Raw(const Raw&) = delete;
    Raw& operator=(const Raw&) = delete;
    ~Raw() { EXPECT_EQ(cudnnBackendDestroyDescriptor(descriptor_), CUDNN_STATUS_SUCCESS); }

    template <class T>
    cudnnStatus_t set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                      const std::vector<T>& values) {
        return cudnnBackendSetAttribute(descriptor_, name, type, static_cast<std::int64_t>(values.size()),
                                        values.data());
    }
    cudnnStatus_t set(cudnnBackendAttributeName_t name, const std::vector<std::int64_t>& values) {
        return set(name, CUDNN_TYPE_INT64, values);
    }
    cudnnStatus_t set(cudnnBackendAttributeName_t name, cudnnDataType_t type) {
        return set(name, CUDNN_TYPE_DATA_TYPE, std::vector{type});
    }
    cudnnStatus_t link(cudnnBackendAttributeName_t name, const Raw& other) {
        return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, std::vector{other.descriptor_});
    }
    cudnnStatus_t finalize() { return cudnnBackendFinalize(descriptor_); }
    [[nodiscard]] cudnnBackendDescriptor_t get() const { return descriptor_; }

  private:
    cudnnBackendDescriptor_t descriptor_ = nullptr;
};

/// Of four axes, channels innermost but for other strides.
class RawTensor : public Raw {
  public:
    RawTensor(std::int64_t uid, const std::vector<std::int64_t>& dims, cudnnDataType_t type = CUDNN_DATA_HALF,
              std::vector<std::int64_t> strides = {})
        : Raw(CUDNN_BACKEND_TENSOR_DESCRIPTOR) {
        if (strides.empty()) strides = {dims[1] * dims[2] * dims[3], 1, dims[1] * dims[3], dims[1]};
        EXPECT_EQ(set(CUDNN_ATTR_TENSOR_UNIQUE_ID, {uid}), CUDNN_STATUS_SUCCESS);
        EXPECT_EQ(set(CUDNN_ATTR_TENSOR_DATA_TYPE, type), CUDNN_STATUS_SUCCESS);
        EXPECT_EQ(set(CUDNN_ATTR_TENSOR_DIMENSIONS, dims), CUDNN_STATUS_SUCCESS);
        EXPECT_EQ(set(CUDNN_ATTR_TENSOR_STRIDES, strides), CUDNN_STATUS_SUCCESS);
        EXPECT_EQ(set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, {16}), CUDNN_STATUS_SUCCESS);
        made = finalize();
    }
    cudnnStatus_t made;
};

class Rules : public testing::Test {
  protected:
    GraphTrial trial_;
};

TEST_F(Rules, AttributesBelongToADescriptorAndHaveAType) {
    Raw tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    EXPECT_EQ(tensor.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, {1, 1}), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_FLOAT, std::vector{1.0F}),
              CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE);
    EXPECT_EQ(tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, {1, 2}), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, {1}), CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(tensor.finalize(), CUDNN_STATUS_BAD_PARAM) << "it has no dimensions";
    std::int64_t uid = 0;
    EXPECT_EQ(cudnnBackendGetAttribute(tensor.get(), CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1,
                                       nullptr, &uid),
              CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED);
    std::string said(200, '\0');
    cudnnGetLastErrorString(said.data(), said.size());
    EXPECT_NE(said.find("Reason: "), std::string::npos) << said;
}

TEST_F(Rules, FinalisedDescriptorsAreOnlyRead) {
    RawTensor tensor(5, {1, 8, 2, 2});
    ASSERT_EQ(tensor.made, CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, {1}), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(tensor.finalize(), CUDNN_STATUS_BAD_PARAM);
    std::int64_t uid = 0;
    std::int64_t count = 0;
    EXPECT_EQ(cudnnBackendGetAttribute(tensor.get(), CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &count,
                                       &uid),
              CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(uid, 5);
    EXPECT_EQ(count, 1);
    EXPECT_EQ(cudnnBackendFinalize(&uid), CUDNN_STATUS_BAD_PARAM) << "this is no descriptor";
}

TEST_F(Rules, ElementsOfATensorLieApart) {
    EXPECT_EQ(RawTensor(1, {1, 8, 2, 2}, CUDNN_DATA_HALF, {32, 1, 16, 7}).made, CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(RawTensor(1, {1, 8, 2, 2}, CUDNN_DATA_HALF, {1, 1, 40, 20}).made, CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(RawTensor(1, {1, 8, 2, 2}, CUDNN_DATA_HALF, {32, 0, 16, 8}).made, CUDNN_STATUS_BAD_PARAM);
}

cudnnStatus_t finalized_convolution(const RawTensor& x, const RawTensor& w, const RawTensor& y) {
    Raw placement(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    placement.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    placement.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE,
                  std::vector{CUDNN_CROSS_CORRELATION});
    placement.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, {2});
    placement.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {1, 1});
    placement.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, {1, 1});
    placement.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {2, 1});
    placement.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, {1, 1});
    EXPECT_EQ(placement.finalize(), CUDNN_STATUS_SUCCESS);
    Raw operation(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
    operation.link(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, x);
    operation.link(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, w);
    operation.link(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, y);
    operation.link(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, placement);
    operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, std::vector{1.0F});
    operation.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, std::vector{0.0F});
    return operation.finalize();
}

TEST_F(Rules, TheExtentsOfAConvolutionFollowFromItsPlacement) {
    const RawTensor x(1, {2, 8, 6, 6});
    const RawTensor w(2, {16, 8, 3, 3});
    EXPECT_EQ(finalized_convolution(x, w, RawTensor(3, {2, 16, 3, 6})), CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(finalized_convolution(x, w, RawTensor(3, {2, 16, 6, 3})),
              CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
    EXPECT_EQ(finalized_convolution(x, w, RawTensor(3, {2, 8, 3, 6})), CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
    EXPECT_EQ(finalized_convolution(x, RawTensor(2, {16, 3, 3, 3}), RawTensor(3, {2, 16, 3, 6})),
              CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH)
        << "groups of 3 of 8 channels";
}

/// c = a b of 8 by 8 matrices in fp16.
class RawProduct {
  public:
    explicit RawProduct(std::int64_t uid_of_b = 2)
        : a_(1, {1, 1, 8, 8}, CUDNN_DATA_HALF, strides()),
          b_(uid_of_b, {1, 1, 8, 8}, CUDNN_DATA_HALF, transposed()),
          c_(3, {1, 1, 8, 8}, CUDNN_DATA_HALF, strides()),
          rule_(CUDNN_BACKEND_MATMUL_DESCRIPTOR),
          operation_(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR),
          graph_(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
        rule_.set(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_DATA_FLOAT);
        EXPECT_EQ(rule_.finalize(), CUDNN_STATUS_SUCCESS);
        operation_.link(CUDNN_ATTR_OPERATION_MATMUL_ADESC, a_);
        operation_.link(CUDNN_ATTR_OPERATION_MATMUL_BDESC, b_);
        operation_.link(CUDNN_ATTR_OPERATION_MATMUL_CDESC, c_);
        operation_.link(CUDNN_ATTR_OPERATION_MATMUL_DESC, rule_);
        EXPECT_EQ(operation_.finalize(), CUDNN_STATUS_SUCCESS);
        EXPECT_EQ(graph_.link(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation_), CUDNN_STATUS_SUCCESS);
        made = graph_.finalize();
    }
    [[nodiscard]] const Raw& graph() const { return graph_; }
    cudnnStatus_t made = CUDNN_STATUS_INTERNAL_ERROR;

  private:
    static std::vector<std::int64_t> strides() { return {64, 64, 8, 1}; }
    static std::vector<std::int64_t> transposed() { return {64, 64, 1, 8}; }
    RawTensor a_;
    RawTensor b_;
    RawTensor c_;
    Raw rule_;
    Raw operation_;
    Raw graph_;
};

/// The plan of one of its engines, and executions of it.
class RawPlan {
  public:
    RawPlan(const Raw& graph, std::size_t engine)
        : heuristics_(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR), plan_(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
        heuristics_.link(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
        heuristics_.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, std::vector{CUDNN_HEUR_MODE_A});
        EXPECT_EQ(heuristics_.finalize(), CUDNN_STATUS_SUCCESS);
        std::vector<cudnnBackendDescriptor_t> places;
        for (std::size_t i = 0; i <= engine; ++i) {
            configs_.push_back(std::make_unique<Raw>(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR));
            places.push_back(configs_.back()->get());
        }
        std::int64_t count = 0;
        EXPECT_EQ(cudnnBackendGetAttribute(heuristics_.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                           CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                           static_cast<std::int64_t>(places.size()), &count, places.data()),
                  CUDNN_STATUS_SUCCESS);
        plan_.link(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, *configs_[engine]);
        EXPECT_EQ(plan_.finalize(), CUDNN_STATUS_SUCCESS);
    }
    cudnnStatus_t execute(cudnnHandle_t handle, const std::vector<std::int64_t>& uids,
                          const std::vector<void*>& memory, void* workspace) {
        Raw pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
        pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, uids);
        pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, memory);
        pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, std::vector{workspace});
        const cudnnStatus_t packed = pack.finalize();
        return packed != CUDNN_STATUS_SUCCESS ? packed : cudnnBackendExecute(handle, plan_.get(), pack.get());
    }

  private:
    Raw heuristics_;
    std::vector<std::unique_ptr<Raw>> configs_;
    Raw plan_;
};

TEST_F(Rules, UidsNameOneTensor) {
    EXPECT_EQ(RawProduct().made, CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(RawProduct(1).made, CUDNN_STATUS_BAD_PARAM) << "a and b differ and have one uid";
    EXPECT_EQ(RawProduct(3).made, CUDNN_STATUS_BAD_PARAM) << "b and c differ and have one uid";
}

TEST_F(Rules, AVariantPackNamesEachTensorOnce) {
    const RawProduct product;
    constexpr std::size_t fourth = 4;  // has a workspace of 4096
    RawPlan plan(product.graph(), fourth);
    const TrialBuffer buffer(8192);
    std::byte* a = buffer.data();
    std::byte* b = a + 128;
    std::byte* c = a + 256;
    std::byte* d = a + 384;
    std::byte* space = a + 4096;
    const auto run = [&](const std::vector<std::int64_t>& uids, const std::vector<void*>& memory,
                         void* workspace) { return plan.execute(trial_.handle(), uids, memory, workspace); };
    EXPECT_EQ(run({1, 2, 3}, {a, b, c}, space), CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(run({3, 1, 2}, {c, a, b}, space), CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(run({1, 2}, {a, b}, space), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(run({1, 2, 3, 4}, {a, b, c, d}, space), CUDNN_STATUS_BAD_PARAM);
    EXPECT_EQ(run({1, 2, 2}, {a, b, c}, space), CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES);
    EXPECT_EQ(run({1, 2, 3}, {a, nullptr, c}, space), CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    EXPECT_EQ(run({1, 2, 3}, {a, b + 8, c}, space), CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER);
    EXPECT_EQ(run({1, 2, 3}, {a, b, c}, nullptr), CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    EXPECT_EQ(run({1, 2, 3}, {a, b, b}, space), CUDNN_STATUS_BAD_PARAM) << "b is read and written";
    EXPECT_EQ(run({1, 2, 3}, {a, b, b + 16}, space), CUDNN_STATUS_BAD_PARAM) << "parts of b are written";
    EXPECT_EQ(run({1, 2, 3}, {a, a, c}, space), CUDNN_STATUS_SUCCESS) << "one may be read twice";
    EXPECT_EQ(run({1, 2, 3}, {a, b, c}, a), CUDNN_STATUS_BAD_PARAM) << "a lies in the workspace";
    trial_.wait();
}

}  // namespace
}  // namespace trireme::emulated
