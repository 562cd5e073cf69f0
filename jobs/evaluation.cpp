#include "jobs/evaluation.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

constexpr std::int64_t top_count = 5;

/// Joins the counts of all ranks, in rank order.
Evaluation joined(const Evaluation& mine, comm::Communicator& comm, double seconds) {
    const nlohmann::json own{{"samples", mine.samples},
                             {"loss_sum", mine.loss_sum},
                             {"top1", mine.top1},
                             {"top5", mine.top5},
                             {"confusion", mine.confusion}};
    Evaluation all = mine;
    all.samples = all.top1 = all.top5 = 0;
    all.loss_sum = 0;
    std::fill(all.confusion.begin(), all.confusion.end(), 0);
    for (const std::string& text : comm.all_gather(own.dump(), "evaluation", Deadline::in_seconds(seconds))) {
        const nlohmann::json part = nlohmann::json::parse(text);
        all.samples += part.at("samples").get<std::int64_t>();
        all.loss_sum += part.at("loss_sum").get<double>();
        all.top1 += part.at("top1").get<std::int64_t>();
        all.top5 += part.at("top5").get<std::int64_t>();
        for (std::size_t i = 0; i < all.confusion.size(); ++i)
            all.confusion[i] += part.at("confusion").at(i).get<std::int64_t>();
    }
    return all;
}

}  // namespace

std::string Evaluation::json() const {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (std::int64_t row = 0; row < classes; ++row) {
        rows.push_back(std::vector<std::int64_t>(confusion.begin() + row * classes,
                                                 confusion.begin() + (row + 1) * classes));
    }
    const nlohmann::ordered_json json{{"split", split},          {"samples", samples},
                                      {"loss", loss()},          {"accuracy", accuracy()},
                                      {"top5", top5_accuracy()}, {"confusion", rows}};
    return json.dump();
}

void count_sample(Evaluation& evaluation, std::span<const float> logits, float loss, std::int32_t target) {
    const float own = logits[static_cast<std::size_t>(target)];
    std::int64_t better = 0;
    std::size_t best = 0;
    for (std::size_t c = 0; c < logits.size(); ++c) {
        if (logits[c] > logits[best]) best = c;
        if (logits[c] > own || (logits[c] == own && static_cast<std::int32_t>(c) < target)) ++better;
    }
    ++evaluation.samples;
    evaluation.loss_sum += static_cast<double>(loss);
    evaluation.top1 += better == 0 ? 1 : 0;
    evaluation.top5 += better < top_count ? 1 : 0;
    ++evaluation.confusion[static_cast<std::size_t>(target * evaluation.classes) + best];
}

Evaluation evaluate(Executor& executor, const EvaluationSetup& setup, comm::Communicator& comm,
                    TraceSink* trace) {
    Evaluation mine;
    mine.split = setup.split;
    mine.classes = executor.classes();
    mine.confusion.assign(static_cast<std::size_t>(mine.classes * mine.classes), 0);

    const VirtualShards shards(setup.data->split(setup.split).samples, setup.batch, comm.size());
    io::LoaderOptions options = setup.loader;
    options.split = setup.split;
    options.shuffle = io::Shuffle::none;
    io::BatchLoader loader(*setup.data, shards, {comm.rank(), comm.rank() + 1}, io::Cursor{}, options, trace);
    for (std::int64_t step = 0; step < shards.steps_per_epoch(); ++step) {
        comm.set_state(Phase::data, "evaluation batch");
        const io::Batch batch = loader.next(Deadline::in_seconds(setup.data_seconds));
        if (batch.samples() == 0) continue;
        const Executor::Prediction result =
            executor.forward({batch.x(), std::as_bytes(batch.y()), batch.samples()});
        const auto classes = static_cast<std::size_t>(mine.classes);
        for (std::size_t i = 0; i < result.loss.size(); ++i) {
            count_sample(mine, result.logits.subspan(i * classes, classes), result.loss[i], batch.y()[i]);
        }
    }
    return joined(mine, comm, setup.step_seconds);
}

}  // namespace trireme::jobs
