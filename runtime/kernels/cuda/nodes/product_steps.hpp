// Runs the steps of a node (rules/launch_steps.hpp). Bodies of our own go through a launch policy, as those
// of runtime/kernels/cuda do; products through a policy that offers
//
//     std::shared_ptr<Plan> plan(const ColumnProduct&)          null where it has no algorithm
//     std::string refusal() const                               of the last plan that was null, in its own
//     words void run(Plan&, Stream&, const ProductMemory&)
//
// On a GPU that is cuBLASLt, in tests the definition of a column-major product. An epilogue that the library
// has not for a product is done apart, by kernels of our own behind the bare product, and the plan says so.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "runtime/kernels/cuda/bodies/elementwise.hpp"
#include "runtime/kernels/cuda/bodies/product_epilogues.hpp"
#include "runtime/kernels/cuda/nodes/sum_columns.hpp"
#include "runtime/kernels/rules/column_major.hpp"

namespace trireme::cublaslt {

/// The same product without its epilogue.
[[nodiscard]] inline Product bare(Product product) {
    product.epilogue = Epilogue::none;
    product.vector = {};
    product.aux = {};
    return product;
}

template <class Launch, class Products>
class ProductSteps final : public NodeKernels {
  public:
    /// Kernels, or why the library has none.
    [[nodiscard]] static KernelOffer make(NodeSteps steps, std::shared_ptr<Products> products) {
        auto kernels = std::unique_ptr<ProductSteps>(new ProductSteps(std::move(steps), std::move(products)));
        std::string refusal = kernels->plan_all();
        if (!refusal.empty()) return {nullptr, std::move(refusal)};
        return {std::move(kernels), ""};
    }

    [[nodiscard]] KernelNeeds needs() const override { return steps_.rules.needs; }
    [[nodiscard]] std::string describe() const override {
        return steps_.rules.implementation + (apart_.empty() ? "" : "; apart:" + apart_);
    }

    void pack_forward(Stream& stream, const KernelBuffers& b) override {
        run(&NodeSteps::pack_forward, stream, b);
    }
    void pack_backward(Stream& stream, const KernelBuffers& b) override {
        run(&NodeSteps::pack_backward, stream, b);
    }
    void forward(Stream& stream, const KernelBuffers& b) override { run(&NodeSteps::forward, stream, b); }
    void backward_activation(Stream& stream, const KernelBuffers& b) override {
        run(&NodeSteps::backward_activation, stream, b);
    }
    void backward_weight(Stream& stream, const KernelBuffers& b) override {
        run(&NodeSteps::backward_weight, stream, b);
    }
    void backward_input(Stream& stream, const KernelBuffers& b) override {
        run(&NodeSteps::backward_input, stream, b);
    }

  private:
    using Pass = std::vector<LaunchStep> NodeSteps::*;
    using Plan = typename Products::Plan;
    static constexpr Pass with_products[] = {&NodeSteps::forward, &NodeSteps::backward_weight,
                                             &NodeSteps::backward_input};
    /// How one product is run; products stand in the order of their passes.
    struct Planned {
        std::shared_ptr<Plan> plan;
        bool apart = false;
    };

    ProductSteps(NodeSteps steps, std::shared_ptr<Products> products)
        : steps_(std::move(steps)), products_(std::move(products)) {}

    template <class F>
    void for_each_product(const F& f) const {
        for (std::size_t pass = 0; pass < std::size(with_products); ++pass) {
            for (const LaunchStep& step : steps_.*with_products[pass]) {
                if (const auto* product = std::get_if<Product>(&step)) f(pass, *product);
            }
        }
    }

    /// A bit mask has the library's order of bits or ours: its writer and its readers go one way.
    [[nodiscard]] bool masks_are_whole() const {
        bool whole = true;
        for_each_product([&](std::size_t, const Product& product) {
            if (product.epilogue != Epilogue::relu_aux_bias && product.epilogue != Epilogue::drelu) return;
            whole = whole && products_->plan(column_major(product)) != nullptr;
        });
        return whole;
    }

    [[nodiscard]] std::string plan_all() {
        const bool masks = masks_are_whole();
        std::string refusal;
        for_each_product([&](std::size_t pass, const Product& product) {
            const bool mask =
                product.epilogue == Epilogue::relu_aux_bias || product.epilogue == Epilogue::drelu;
            Planned planned;
            if (!mask || masks) planned.plan = products_->plan(column_major(product));
            if (planned.plan == nullptr && product.epilogue != Epilogue::none) {
                planned.apart = fits_apart(product);
                if (planned.apart) planned.plan = products_->plan(column_major(bare(product)));
                if (planned.plan != nullptr) note_apart(product.epilogue);
            }
            if (planned.plan == nullptr) refusal = products_->refusal();
            planned_[pass].push_back(std::move(planned));
        });
        return refusal;
    }

    void note_apart(Epilogue epilogue) {
        if (apart_.find(name_of(epilogue)) != std::string::npos) return;
        apart_ += ' ';
        apart_ += name_of(epilogue);
    }

    /// Partial sums lie in the workspace, which the product in front of them does not need any more.
    [[nodiscard]] static bool fits_apart(const Product& product) {
        if (product.epilogue != Epilogue::sum_a) return true;
        const auto tiling = cuda::Tiling::of(1, product.inner, product.rows);
        return tiling.partials() * static_cast<std::int64_t>(sizeof(double)) <= product.workspace_size.value;
    }

    void run(Pass pass, Stream& stream, const KernelBuffers& b) {
        std::size_t which = 0;
        while (which < std::size(with_products) && with_products[which] != pass) ++which;
        std::size_t next = 0;
        for (const LaunchStep& step : steps_.*pass) {
            if (const auto* product = std::get_if<Product>(&step)) {
                run(planned_[which][next++], *product, stream, b);
            } else if (const auto* convert = std::get_if<Convert>(&step)) {
                run(*convert, stream, b);
            } else {
                run(std::get<ReluGradient>(step), stream, b);
            }
        }
    }

    void run(const Planned& planned, const Product& product, Stream& stream, const KernelBuffers& b) {
        if (!planned.apart) {
            products_->run(*planned.plan, stream, memory_of(product, b));
            return;
        }
        products_->run(*planned.plan, stream, memory_of(bare(product), b));
        if (product.epilogue == Epilogue::sum_a) {
            sum_apart(product, stream, b);
        } else {
            finish_apart(product, stream, b);
        }
    }

    static void run(const Convert& step, Stream& stream, const KernelBuffers& b) {
        const cuda::CopyColumns body{step.columns,
                                     {address_of(step.from.at, b), step.from.at.dtype},
                                     step.from.leading,
                                     0,
                                     {writable(step.to.at, b), step.to.at.dtype},
                                     step.to.leading,
                                     0};
        Launch::each(stream, step.rows * cuda::packs_of(step.columns), body);
    }

    static void run(const ReluGradient& step, Stream& stream, const KernelBuffers& b) {
        const cuda::Map2<cuda::ReluSlope> body{step.elements,
                                               {b.d_output, step.dtype},
                                               {b.output, step.dtype},
                                               {b.d_output, step.dtype},
                                               cuda::ReluSlope{}};
        Launch::each(stream, cuda::packs_of(step.elements), body);
    }

    static void finish_apart(const Product& product, Stream& stream, const KernelBuffers& b) {
        cuda::FinishProduct body;
        body.width = product.columns;
        body.d = {writable(product.d.at, b), product.d.at.dtype};
        body.d_stride = product.d.leading;
        if (product.vector) body.bias = {address_of(product.vector, b), product.vector.dtype};
        if (product.aux.at) body.aux = {writable(product.aux.at, b), product.aux.at.dtype};
        body.aux_stride = product.aux.leading;
        switch (product.epilogue) {
            case Epilogue::relu:
            case Epilogue::relu_bias:
            case Epilogue::relu_aux_bias:
                body.finish = cuda::Finish::relu;
                break;
            case Epilogue::gelu_bias:
            case Epilogue::gelu_aux_bias:
                body.finish = cuda::Finish::gelu;
                break;
            case Epilogue::drelu:
                body.finish = cuda::Finish::relu_gradient;
                break;
            case Epilogue::dgelu:
                body.finish = cuda::Finish::gelu_gradient;
                break;
            default:
                body.finish = cuda::Finish::nothing;
        }
        Launch::each(stream, product.rows * cuda::packs_of(product.columns), body);
    }

    /// a lies transposed: its rows are columns in memory.
    static void sum_apart(const Product& product, Stream& stream, const KernelBuffers& b) {
        const auto tiling = cuda::Tiling::of(1, product.inner, product.rows);
        const cuda::StridedColumns terms{{address_of(product.a.at, b), product.a.at.dtype},
                                         product.a.leading};
        const cuda::ScaledSums finish{{writable(product.vector, b), DType::f32}};
        cuda::sum_columns<Launch>(stream, tiling, terms, finish, writable(product.workspace, b));
    }

    NodeSteps steps_;
    std::shared_ptr<Products> products_;
    std::vector<Planned> planned_[std::size(with_products)];
    std::string apart_;
};

}  // namespace trireme::cublaslt
