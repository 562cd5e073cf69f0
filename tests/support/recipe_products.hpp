// Every product that the linear layers of the presets become on a CUDA device, for asking cuBLASLt about
// them.
#pragma once

#include <algorithm>
#include <map>
#include <string>

#include "jobs/models/model_spec.hpp"
#include "layers/rewrite/rewrite.hpp"
#include "runtime/core/error.hpp"
#include "runtime/kernels/rules/column_major.hpp"
#include "runtime/kernels/rules/cublaslt_steps.hpp"

namespace trireme::test {

struct RecipeProducts {
    std::map<std::string, cublaslt::ColumnProduct> products;  ///< by their text
    int nodes = 0;                                            ///< that they are of
};

/// A preset's graph as a CUDA device gets it, activations in `dtype`.
[[nodiscard]] inline layers::ModelGraph lowered(const std::string& preset, DType dtype) {
    jobs::ModelSpec spec;
    spec.name = preset;
    spec.hidden = {256, 128};
    layers::ModelGraph graph = layers::fuse_feed_forward(layers::fuse(jobs::build_model(spec)).graph).graph;
    return dtype == DType::f32 ? graph : layers::store_as(graph, dtype).graph;
}

/// Of all presets with `batch` samples, in training and evaluation.
[[nodiscard]] inline RecipeProducts products_of_recipes(DType dtype, const DeviceModel& device,
                                                        std::int64_t batch) {
    RecipeProducts all;
    for (const std::string& preset : jobs::preset_names()) {
        const layers::ModelGraph graph = lowered(preset, dtype);
        for (std::size_t n = 0; n < graph.nodes().size(); ++n) {
            const layers::Op& op = graph.nodes()[n].op;
            if (!layers::multiplies_weight(op) || std::holds_alternative<layers::Conv2d>(op)) continue;
            ++all.nodes;
            for (const bool training : {true, false}) {
                KernelRequest request;
                request.graph = &graph;
                request.node = static_cast<layers::NodeId>(n);
                request.batch = batch;
                request.training = training;
                request.input_gradient = training;
                const cublaslt::StepsOffer offer = cublaslt::steps_of(request, device);
                ensure(offer.steps.has_value(), preset + ": " + offer.refusal);
                for (const auto* pass :
                     {&offer.steps->forward, &offer.steps->backward_weight, &offer.steps->backward_input}) {
                    for (const cublaslt::LaunchStep& step : *pass) {
                        const auto* product = std::get_if<cublaslt::Product>(&step);
                        if (product == nullptr) continue;
                        const cublaslt::ColumnProduct columns = cublaslt::column_major(*product);
                        all.products.emplace(columns.str(), columns);
                    }
                }
            }
        }
    }
    return all;
}

/// The precisions that products come in: element type, and whether fp32 may be TF32.
struct ProductPrecision {
    const char* name;
    DType dtype;
    bool tf32;
};
inline constexpr ProductPrecision product_precisions[] = {{"fp32", DType::f32, false},
                                                          {"tf32", DType::f32, true},
                                                          {"bf16", DType::bf16, true},
                                                          {"fp16", DType::f16, true}};

}  // namespace trireme::test
