#include "tests/parity/pytorch/golden.hpp"

#include <fstream>
#include <stdexcept>

#include "jobs/models/model_spec.hpp"
#include "layers/init.hpp"
#include "runtime/core/philox.hpp"

namespace trireme::parity {
namespace {

/// Element `index` of the stream, in [-1, 1).
double centred(const RandomStream& stream, std::size_t index) { return 2.0 * stream.uniform(index) - 1.0; }

}  // namespace

const nlohmann::json& golden() {
    static const nlohmann::json content = [] {
        std::ifstream file(TRIREME_PYTORCH_GOLDEN);
        if (!file)
            throw std::runtime_error(TRIREME_PYTORCH_GOLDEN
                                     " is missing: make_golden.py beside it writes it");
        return nlohmann::json::parse(file);
    }();
    return content;
}

std::uint64_t golden_seed() { return golden().at("seed").get<std::uint64_t>(); }

layers::ModelGraph golden_graph(const nlohmann::json& golden_case) {
    jobs::ModelSpec spec;
    spec.name = golden_case.at("model").get<std::string>();
    spec.input = Shape(golden_case.at("input").get<std::vector<std::int64_t>>());
    spec.classes = golden_case.at("classes").get<std::int64_t>();
    return jobs::build_model(spec);
}

std::vector<double> golden_weights(const layers::ParamSpec& spec) {
    std::vector<float> start(static_cast<std::size_t>(spec.shape.elements().value));
    layers::initial_values(spec, golden_seed(), 0, start);
    std::vector<double> values(start.begin(), start.end());
    if (spec.shape.rank() > 1) return values;
    const RandomStream offsets(golden_seed(), "parity/" + spec.name);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += 0.25 * centred(offsets, i);
    return values;
}

GoldenBatch golden_batch(const nlohmann::json& golden_case, std::uint64_t instance) {
    const Shape input(golden_case.at("input").get<std::vector<std::int64_t>>());
    const auto samples = golden_case.at("batch").get<std::size_t>();
    const auto classes = golden_case.at("classes").get<std::uint64_t>();
    const RandomStream x(golden_seed(), "parity/x", instance);
    const RandomStream target(golden_seed(), "parity/classes", instance);
    GoldenBatch batch;
    batch.x.resize(samples * static_cast<std::size_t>(input.elements().value));
    for (std::size_t i = 0; i < batch.x.size(); ++i) batch.x[i] = centred(x, i);
    for (std::size_t n = 0; n < samples; ++n)
        batch.classes.push_back(static_cast<double>(target.below(n, classes)));
    return batch;
}

}  // namespace trireme::parity
