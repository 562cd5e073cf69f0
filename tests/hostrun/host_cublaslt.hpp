// The steps for cuBLASLt as a provider on the host-run device.
#pragma once

#include <functional>
#include <memory>
#include <set>

#include "runtime/kernels/cuda/nodes/product_steps.hpp"
#include "runtime/kernels/rules/cublaslt_steps.hpp"
#include "tests/hostrun/host_launch.hpp"
#include "tests/support/column_products.hpp"

namespace trireme::hostrun {

using test::ColumnProducts;

class HostCublaslt final : public KernelProvider {
  public:
    [[nodiscard]] std::string_view name() const override { return "cublaslt"; }
    [[nodiscard]] KernelOffer offer(const KernelRequest& request) const override {
        KernelRequest capped = request;
        capped.workspace_cap = cap;
        cublaslt::StepsOffer offer = cublaslt::steps_of(capped, DeviceModel{});
        if (!offer.steps) return {nullptr, offer.refusal};
        auto products = std::make_shared<ColumnProducts>();
        products->has = [this](const cublaslt::ColumnProduct& product) {
            epilogues.insert(product.epilogue);
            return has(product);
        };
        return cublaslt::ProductSteps<HostLaunch, ColumnProducts>::make(std::move(*offer.steps),
                                                                        std::move(products));
    }

    Bytes cap{std::int64_t{1} << 20};  ///< small: the workspace is spoilt at each product
    std::function<bool(const cublaslt::ColumnProduct&)> has = [](const auto&) { return true; };
    mutable std::set<cublaslt::Epilogue> epilogues;  ///< that were asked for
};

}  // namespace trireme::hostrun
