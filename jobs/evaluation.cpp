#include "jobs/evaluation.hpp"

#include <algorithm>
#include <variant>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

constexpr std::int64_t top_count = 5;

double share(std::int64_t part, std::int64_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

/// Joins the counts of all ranks. The losses of batches are added in batch order, whoever computed them.
Evaluation joined(const Evaluation& mine, const std::vector<double>& batch_losses, comm::Communicator& comm,
                  double seconds) {
    const nlohmann::json own{{"samples", mine.samples},
                             {"losses", batch_losses},
                             {"right", mine.right},
                             {"top5", mine.top5},
                             {"confusion", mine.confusion}};
    Evaluation all = mine;
    all.samples = all.right = all.top5 = 0;
    all.loss_sum = 0;
    std::fill(all.confusion.begin(), all.confusion.end(), 0);
    for (const std::string& text : comm.all_gather(own.dump(), "evaluation", Deadline::in_seconds(seconds))) {
        const nlohmann::json part = nlohmann::json::parse(text);
        all.samples += part.at("samples").get<std::int64_t>();
        for (const nlohmann::json& loss : part.at("losses")) {
            if (!loss.is_number())  // JSON has no word for NaN and infinity and says null
                throw NumericError(
                    "the loss of an evaluation is not finite: parameters or running statistics have grown "
                    "too large; lower optimizer.lr, or clip gradients (optimizer.clip)");
            all.loss_sum += loss.get<double>();
        }
        all.right += part.at("right").get<std::int64_t>();
        all.top5 += part.at("top5").get<std::int64_t>();
        for (std::size_t i = 0; i < all.confusion.size(); ++i)
            all.confusion[i] += part.at("confusion").at(i).get<std::int64_t>();
    }
    return all;
}

void count(Evaluation& evaluation, const io::Batch& batch, const Executor::Prediction& said) {
    const auto outputs = static_cast<std::size_t>(evaluation.outputs);
    evaluation.samples += batch.samples();
    const auto predictions = static_cast<std::size_t>(batch.samples() * evaluation.positions);
    for (std::size_t i = 0; i < predictions; ++i) {
        const std::span<const float> logits = said.logits.subspan(i * outputs, outputs);
        if (evaluation.is_index()) count_sample(evaluation, logits, batch.y()[i]);
        if (evaluation.kind == OutputKind::probabilities)
            count_labels(evaluation, logits, batch.y_float().subspan(i * outputs, outputs));
    }
}

}  // namespace

OutputKind output_kind(const layers::ModelGraph& graph) {
    const layers::Op& loss = graph.nodes().back().op;
    if (std::holds_alternative<layers::BceWithLogits>(loss)) return OutputKind::probabilities;
    if (std::holds_alternative<layers::MeanSquaredError>(loss)) return OutputKind::values;
    return graph.tensor(graph.target()).shape.rank() == 0 ? OutputKind::classes : OutputKind::tokens;
}

double Evaluation::accuracy() const {
    if (is_index()) return share(right, samples * positions);
    return kind == OutputKind::probabilities ? share(right, samples * outputs) : 0;
}

double Evaluation::top5_accuracy() const { return share(top5, samples * positions); }

std::string Evaluation::json() const {
    nlohmann::ordered_json none;
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (std::int64_t row = 0; row * outputs < static_cast<std::int64_t>(confusion.size()); ++row) {
        rows.push_back(std::vector<std::int64_t>(confusion.begin() + row * outputs,
                                                 confusion.begin() + (row + 1) * outputs));
    }
    const nlohmann::ordered_json json{
        {"split", split},
        {"samples", samples},
        {"loss", loss()},
        {"accuracy", has_accuracy() ? nlohmann::ordered_json(accuracy()) : none},
        {"top5", is_index() ? nlohmann::ordered_json(top5_accuracy()) : none},
        {"confusion", kind == OutputKind::classes ? rows : none}};
    return json.dump();
}

HostBatch host_batch(const io::Batch& batch) { return {batch.x_bytes(), batch.y_bytes(), batch.samples()}; }

void count_sample(Evaluation& evaluation, std::span<const float> logits, std::int32_t target) {
    const float own = logits[static_cast<std::size_t>(target)];
    std::int64_t better = 0;
    std::size_t best = 0;
    for (std::size_t c = 0; c < logits.size(); ++c) {
        if (logits[c] > logits[best]) best = c;
        if (logits[c] > own || (logits[c] == own && static_cast<std::int32_t>(c) < target)) ++better;
    }
    evaluation.right += better == 0 ? 1 : 0;
    evaluation.top5 += better < top_count ? 1 : 0;
    if (evaluation.kind != OutputKind::classes) return;
    ++evaluation.confusion[static_cast<std::size_t>(target * evaluation.outputs) + best];
}

void count_labels(Evaluation& evaluation, std::span<const float> logits, std::span<const float> target) {
    // The sigmoid of a logit is above 1/2 where the logit is above 0.
    for (std::size_t i = 0; i < logits.size(); ++i)
        evaluation.right += (logits[i] > 0) == (target[i] > 0.5F) ? 1 : 0;
}

EvaluationSetup evaluation_setup(const PlannedJob& job, const io::DataSetInfo& data, std::string split) {
    EvaluationSetup setup;
    setup.data = &data;
    setup.split = std::move(split);
    setup.kind = output_kind(job.graph());
    if (setup.kind == OutputKind::tokens)
        setup.positions = job.graph().tensor(job.graph().target()).shape.elements().value;
    setup.rows = job.eval_rows();
    setup.loader = job.loader_options();
    setup.data_seconds = job.spec().deadline.data;
    return setup;
}

void for_each_batch(Executor& executor, const EvaluationSetup& setup, comm::Communicator& comm,
                    TraceSink* trace,
                    const std::function<void(const io::Batch&, const Executor::Prediction&)>& visit) {
    const VirtualShards batches(setup.data->split(setup.split).samples, setup.rows, 1);
    const IndexRange mine = even_piece(batches.steps_per_epoch(), comm.size(), comm.rank());
    if (mine.empty()) return;
    io::LoaderOptions options = setup.loader;
    options.split = setup.split;
    options.shuffle = io::Shuffle::none;
    io::BatchLoader loader(*setup.data, batches, {0, 1}, io::Cursor{0, mine.begin}, options, trace);
    for (std::int64_t step = mine.begin; step < mine.end; ++step) {
        comm.set_state(Phase::data, "evaluation batch");
        const io::Batch batch = loader.next(Deadline::in_seconds(setup.data_seconds));
        HostBatch host = host_batch(batch);
        if (!setup.blank_targets.empty()) host.y = setup.blank_targets;
        visit(batch, executor.forward(host));
    }
}

Evaluation evaluate(Executor& executor, const EvaluationSetup& setup, comm::Communicator& comm,
                    TraceSink* trace) {
    Evaluation mine;
    mine.split = setup.split;
    mine.kind = setup.kind;
    mine.positions = setup.positions;
    mine.outputs = executor.classes() / setup.positions;
    if (static_cast<std::int64_t>(setup.data->class_names.size()) == mine.outputs)
        mine.class_names = setup.data->class_names;
    if (mine.kind == OutputKind::classes)
        mine.confusion.assign(static_cast<std::size_t>(mine.outputs * mine.outputs), 0);
    std::vector<double> batch_losses;
    for_each_batch(executor, setup, comm, trace,
                   [&](const io::Batch& batch, const Executor::Prediction& said) {
                       double sum = 0;
                       for (const float loss : said.loss) sum += static_cast<double>(loss);
                       batch_losses.push_back(sum);
                       count(mine, batch, said);
                   });
    return joined(mine, batch_losses, comm, setup.step_seconds);
}

}  // namespace trireme::jobs
