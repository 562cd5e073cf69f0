#include "jobs/spec/job_spec.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "jobs/models/gpt.hpp"
#include "jobs/spec/job_file.hpp"
#include "jobs/spec/keys.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"
#include "runtime/host_backends.hpp"

namespace trireme::jobs {
namespace {

void read_job(SettingsReader& read, JobSpec& spec, const std::filesystem::path& file) {
    JobSpec::Job& job = spec.job;
    job.name = read.text("job.name").empty() ? file.stem().string() : read.text("job.name");
    job.output = read.text("job.output").empty() ? std::filesystem::path("runs") / job.name
                                                 : std::filesystem::path(read.text("job.output"));
    job.seed = static_cast<std::uint64_t>(read.integer("job.seed", 0));
    job.epochs = read.maybe_integer("job.epochs", 1);
    job.steps = read.maybe_integer("job.steps", 1);
    if (job.epochs && job.steps) read.refuse("job.steps", "job.epochs is set too: keep one of them");
    job.stop_at = read.maybe_integer("job.stop_at", 1);
    job.device = read.choice("job.device", {"auto", "cpu", "cuda", "reference"});
    job.share_device = read.flag("job.share_device");
    job.capture = read.flag("job.capture");
    job.canonical = read.choice("job.deterministic", {"fast", "canonical"}) == "canonical";
    if (read.text("job.threads") != "auto") {
        job.threads = read.integer("job.threads", 1, 1024);
    } else if (job.canonical) {
        job.threads = 1;  // another thread count may sum in another order, so it is part of a canonical job
    }
    if (const auto limit = read.maybe_bytes("job.memory_limit")) job.memory_limit = Bytes(*limit);
    job.workspace_cap = Bytes(read.integer("job.workspace_mb", 1, 1 << 20) << 20);
    job.early_stop = read.maybe_integer("job.early_stop", 1);
    job.nan = read.choice("job.nan", {"stop", "skip"}) == "skip" ? NanPolicy::skip : NanPolicy::stop;
    job.hash_every = read.maybe_integer("job.hash_every", 1);
}

void read_data(SettingsReader& read, JobSpec& spec) {
    JobSpec::Data& data = spec.data;
    data.path = read.text("data.path");
    data.batch = read.integer("data.batch", 1, 1 << 24);
    data.eval_batch = read.maybe_integer("data.eval_batch", 1).value_or(data.batch);
    const std::string shuffle = read.choice("data.shuffle", {"global", "local", "none"});
    data.loader.shuffle = shuffle == "global"  ? io::Shuffle::global
                          : shuffle == "local" ? io::Shuffle::local
                                               : io::Shuffle::none;
    data.loader.augment = read.choice("data.augment", {"none", "crop-flip"}) == "none"
                              ? io::Augment::none
                              : io::Augment::crop_flip;
    data.loader.normalize = read.choice("data.normalize", {"auto", "none"}) == "auto";
    data.loader.workers = static_cast<int>(read.integer("data.workers", 1, 64));
    data.loader.prefetch = static_cast<int>(read.integer("data.prefetch", 1, 64));
    data.loader.seed = spec.job.seed;
}

/// A model file is looked for in the current folder, then beside the job file.
std::filesystem::path model_file(const std::filesystem::path& named, const std::filesystem::path& job_file) {
    const std::filesystem::path beside = job_file.parent_path() / named;
    std::error_code ignored;
    return !std::filesystem::exists(named, ignored) && std::filesystem::exists(beside, ignored) ? beside
                                                                                                : named;
}

/// The sizes of a gpt preset, which no other network has.
void read_gpt(SettingsReader& read, ModelSpec& model) {
    constexpr std::int64_t largest = 1 << 20;
    for (const char* key : {"model.context", "model.layers", "model.heads", "model.width", "model.vocabulary",
                            "model.dropout"}) {
        if (!read.text(key).empty() && !is_gpt(model.name))
            read.refuse(key, fmt::format("is for the presets {} only", fmt::join(gpt_names(), " and ")));
    }
    const auto size = [&](const char* key, std::int64_t most) -> std::optional<std::int64_t> {
        if (read.text(key).empty()) return std::nullopt;
        return read.integer(key, 1, most);
    };
    model.gpt.context = size("model.context", largest);
    model.gpt.layers = size("model.layers", 1000);
    model.gpt.heads = size("model.heads", 1000);
    model.gpt.width = size("model.width", largest);
    model.gpt.vocabulary = size("model.vocabulary", largest);
    if (!read.text("model.dropout").empty()) model.gpt.dropout = read.number("model.dropout", 0, 0.999);
}

void read_model(SettingsReader& read, JobSpec& spec, const std::filesystem::path& job_file) {
    ModelSpec& model = spec.model;
    if (!read.text("model.file").empty()) {
        if (read.has("model.name")) read.refuse("model.name", "model.file is set too: keep one of them");
        model.file = model_file(read.text("model.file"), job_file);
    } else if (!read.has("model.name")) {
        read.refuse("model.name", "is missing: name a preset, such as lenet, or a model file in model.file");
    } else {
        model.name = read.choice("model.name", preset_names());
    }
    if (!read.text("model.input").empty()) model.input = Shape(read.integers("model.input", 'x', 1));
    model.classes = read.maybe_integer("model.classes", 1);
    model.hidden = read.integers("model.hidden", ',', 1);
    read_gpt(read, model);
    spec.init_from = read.text("model.init_from");
    spec.optimizer.frozen = read.text("model.freeze");
    std::vector<std::string> losses = loss_names();
    losses.insert(losses.begin(), "auto");
    model.loss = loss_named(read.choice("model.loss", losses));
    if (!read.text("model.label_smoothing").empty())
        model.label_smoothing = read.number("model.label_smoothing", 0, most_label_smoothing);
}

/// Groups in the order in which their sections begin.
std::vector<ParamGroup> read_groups(SettingsReader& read) {
    std::vector<std::pair<int, std::string>> found;
    for (const auto& [key, setting] : read.settings()) {
        const auto part = find_group_key(key);
        if (!part) continue;
        const std::string name(part->group);
        const auto known = std::ranges::find(found, name, &std::pair<int, std::string>::second);
        if (known == found.end()) {
            found.emplace_back(setting.order, name);
        } else {
            known->first = std::min(known->first, setting.order);
        }
    }
    std::ranges::sort(found);
    std::vector<ParamGroup> groups;
    for (const auto& [order, name] : found) {
        const std::string prefix = fmt::format("optimizer.{}.", name);
        ParamGroup group;
        group.name = name;
        if (read.has(prefix + "lr")) group.lr = read.number(prefix + "lr", 0, 1e6);
        if (read.has(prefix + "weight_decay"))
            group.weight_decay = read.number(prefix + "weight_decay", 0, 1e3);
        if (read.has(prefix + "match")) group.match = read.text(prefix + "match");
        const std::string any = prefix + (group.lr ? "lr" : group.weight_decay ? "weight_decay" : "match");
        if (group.match.empty()) {
            read.refuse(any, fmt::format("the group {} needs {}match, such as *.bias", name, prefix));
        } else if (!group.lr && !group.weight_decay) {
            read.refuse(any, fmt::format("the group {} sets nothing: give it lr or weight_decay", name));
        }
        groups.push_back(std::move(group));
    }
    return groups;
}

void read_optimizer(SettingsReader& read, JobSpec& spec) {
    OptimizerSpec& optimizer = spec.optimizer;
    optimizer.name = read.choice("optimizer.name", {"sgd", "adamw", "lars", "lamb"});
    optimizer.lr = read.number("optimizer.lr", 0, 1e6);
    optimizer.momentum = read.number("optimizer.momentum", 0, 1);
    optimizer.nesterov = read.flag("optimizer.nesterov");
    if (optimizer.nesterov && (optimizer.name != "sgd" || optimizer.momentum == 0))
        read.refuse("optimizer.nesterov", "needs optimizer.name = sgd with optimizer.momentum above 0");
    optimizer.weight_decay = read.number("optimizer.weight_decay", 0, 1e3);
    optimizer.beta1 = read.number("optimizer.beta1", 0, 0.999999);
    optimizer.beta2 = read.number("optimizer.beta2", 0, 0.9999999);
    optimizer.eps = read.number("optimizer.eps", 0, 1);
    optimizer.trust = read.number("optimizer.trust", 1e-9, 1e3);
    if (!read.text("optimizer.clip").empty()) optimizer.clip = read.number("optimizer.clip", 1e-9, 1e9);
    if (!read.text("optimizer.ema").empty()) optimizer.ema = read.number("optimizer.ema", 1e-6, 0.9999999);
    optimizer.groups = read_groups(read);
    LrSchedule& schedule = spec.schedule;
    schedule.kind = read.choice("optimizer.schedule", {"constant", "step", "cosine", "linear"});
    schedule.base = optimizer.lr;
    schedule.warmup = read.integer("optimizer.warmup", 0);
    schedule.milestones = read.numbers("optimizer.milestones", 0, 1);
    schedule.gamma = read.number("optimizer.gamma", 0, 1);
    schedule.floor = read.number("optimizer.floor", 0, 1);
}

/// "none", "auto" or a number of segments.
std::int64_t read_recompute(SettingsReader& read) {
    const std::string text = read.text("parallel.recompute");
    if (text == "none") return 1;
    if (text == "auto") return 0;
    const auto count = parse_integer(text);
    if (count && *count >= 2) return *count;
    read.refuse("parallel.recompute", "must be none, auto or a number of segments, 2 at least");
    return 1;
}

/// Empty: what the precision wants. A power of two, because dividing by one rounds nothing.
LossScaling read_loss_scale(SettingsReader& read, const std::string& compute) {
    constexpr const char* key = "precision.loss_scale";
    constexpr double most = LossScaling{}.most;
    const std::string text = read.text(key);
    if (text.empty()) return compute == "fp16" ? dynamic_loss_scaling() : LossScaling{};
    if (compute != "fp16" && compute != "bf16") {
        read.refuse(key,
                    fmt::format("is for precision.compute = fp16 (or bf16): gradients in {} do not leave "
                                "their range, remove the key",
                                compute));
        return {};
    }
    if (text == "dynamic") return dynamic_loss_scaling();
    const auto number = parse_number(text);
    int exponent = 0;
    if (number && *number >= 1 / most && *number <= most && std::frexp(*number, &exponent) == 0.5)
        return {.initial = *number};
    read.refuse(key, fmt::format("must be dynamic, or a power of two up to {:.0f} such as 1024", most));
    return {};
}

/// A device that is not known yet (auto) refuses for itself.
void read_precision(SettingsReader& read, JobSpec& spec) {
    spec.precision.compute = read.choice("precision.compute", {"fp32", "tf32", "bf16", "fp16"});
    spec.precision.tf32 = spec.precision.compute == "tf32";
    if (spec.precision.compute == "bf16") spec.precision.storage = DType::bf16;
    if (spec.precision.compute == "fp16") spec.precision.storage = DType::f16;
    spec.precision.loss_scale = read_loss_scale(read, spec.precision.compute);
    if (spec.job.device != "cpu" && spec.job.device != "reference") return;
    if (const std::string refusal = refusal_of_host(spec.numerics()); !refusal.empty())
        read.refuse("precision.compute", refusal);
}

void read_parallel(SettingsReader& read, JobSpec& spec) {
    JobSpec::Parallel& parallel = spec.parallel;
    parallel.data = read.maybe_integer("parallel.data", 1);
    for (const char* key :
         {"parallel.pipeline", "parallel.tensor", "parallel.classes", "parallel.virtual_blocks"}) {
        (void)read.choice(key, {"1"}, {"2", "3", "4", "8", "16"});
    }
    parallel.microbatches = read.integer("parallel.microbatches", 1, 1 << 20);
    parallel.virtual_shards = read.maybe_integer("parallel.virtual_shards", 1).value_or(0);
    if (!read.text("parallel.bucket_mb").empty()) {
        parallel.bucket_bytes =
            Bytes(static_cast<std::int64_t>(read.number("parallel.bucket_mb", 0.001, 4096) * (1 << 20)));
    }
    const std::string algorithm = read.choice(
        "parallel.algorithm", {"auto", "ring", "halving-doubling", "staged", "ipc", "mpi", "nccl"});
    parallel.algorithm = algorithm == "ring"               ? comm::Algorithm::ring
                         : algorithm == "halving-doubling" ? comm::Algorithm::halving_doubling
                                                           : comm::Algorithm::automatic;
    parallel.path = sum_path_of(algorithm).value_or(SumPath::automatic);
    parallel.recompute = read_recompute(read);
    (void)read.choice("parallel.wire", {"fp32"}, {"bf16"});
}

/// "epoch", "500" steps or "30m".
void read_checkpoint_interval(SettingsReader& read, JobSpec::Checkpoint& checkpoint) {
    constexpr std::int64_t most_minutes = 7 * 24 * 60;
    const std::string text = read.text("checkpoint.every");
    if (text == "epoch") return;
    const bool minutes = text.ends_with('m');
    const auto count = parse_integer(std::string_view(text).substr(0, text.size() - (minutes ? 1 : 0)));
    if (!count || *count < 1 || (minutes && *count > most_minutes)) {
        read.refuse(
            "checkpoint.every",
            fmt::format("must be epoch, a number of steps such as 500, or minutes such as 30m (at most {}m)",
                        most_minutes));
        return;
    }
    (minutes ? checkpoint.every_minutes : checkpoint.every_steps) = *count;
}

void read_running(SettingsReader& read, JobSpec& spec) {
    constexpr double week = 7 * 24 * 3600.0;
    spec.deadline.join = read.number("deadline.join", 0.1, week);
    spec.deadline.data = read.number("deadline.data", 0.1, week);
    if (!read.text("deadline.step").empty()) spec.deadline.step = read.number("deadline.step", 0.1, week);
    spec.deadline.checkpoint = read.number("deadline.checkpoint", 0.1, week);
    read_checkpoint_interval(read, spec.checkpoint);
    spec.checkpoint.keep = read.integer("checkpoint.keep", 1);
    spec.checkpoint.keep_every = read.maybe_integer("checkpoint.keep_every", 1).value_or(0);
    if (!read.text("checkpoint.best").empty())
        spec.checkpoint.best = read.choice("checkpoint.best", {"val_loss", "val_accuracy"});
    spec.checkpoint.resume = read.text("checkpoint.resume");
    if (spec.checkpoint.resume.empty())
        read.refuse("checkpoint.resume", "must be auto, never or a checkpoint folder");
    spec.checkpoint.async = read.flag("checkpoint.async");
    spec.telemetry.log_every = read.integer("telemetry.log_every", 1);
    spec.telemetry.eval_every = read.integer("telemetry.eval_every", 0);
    if (!spec.checkpoint.best.empty() && spec.telemetry.eval_every == 0)
        read.refuse("checkpoint.best", "needs evaluations: telemetry.eval_every is 0");
    const std::string progress = read.choice("telemetry.progress", {"auto", "bar", "plain", "off"});
    spec.telemetry.progress = progress == "bar"     ? Progress::Mode::bar
                              : progress == "plain" ? Progress::Mode::plain
                              : progress == "off"   ? Progress::Mode::off
                                                    : Progress::Mode::automatic;
    spec.telemetry.trace_steps = read.integer("telemetry.trace", 0, 100000);
}

}  // namespace

std::string JobSpec::canonical_text() const {
    std::string text;
    std::string section;
    const auto add_groups = [&] {
        for (const ParamGroup& group : optimizer.groups) {
            text += fmt::format("\n[optimizer.{}]\n", group.name);
            for (const GroupKeyInfo& key : group_key_table()) {
                const auto found = effective.find(fmt::format("optimizer.{}.{}", group.name, key.name));
                if (found != effective.end()) text += fmt::format("{} = {}\n", key.name, found->second);
            }
        }
    };
    for (const KeyInfo& key : key_table()) {
        const auto found = effective.find(std::string(key.name));
        if (found == effective.end() || found->second.empty()) continue;
        const std::size_t dot = key.name.find('.');
        if (key.name.substr(0, dot) != section) {
            if (section == "optimizer") add_groups();
            section = key.name.substr(0, dot);
            text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section);
        }
        text += fmt::format("{} = {}\n", key.name.substr(dot + 1), found->second);
    }
    return text;
}

JobSpec load_job(const std::filesystem::path& file, const std::map<std::string, Setting>& overrides) {
    Diagnostics diagnostics;
    std::map<std::string, Setting> settings = read_job_file(file, diagnostics);
    for (const auto& [key, setting] : overrides) {
        const auto there = settings.find(key);
        const int order = there == settings.end() ? setting.order : there->second.order;
        settings[key] = {setting.value, setting.place, order};
    }
    // The two ways to say how long: the command line's wins over the file's, whichever it is.
    if (overrides.contains("job.steps") && !overrides.contains("job.epochs")) settings.erase("job.epochs");
    if (overrides.contains("job.epochs") && !overrides.contains("job.steps")) settings.erase("job.steps");
    // And the two ways to name a network.
    if (overrides.contains("model.file") && !overrides.contains("model.name")) settings.erase("model.name");
    if (overrides.contains("model.name") && !overrides.contains("model.file")) settings.erase("model.file");
    for (const auto& [key, setting] : settings) {
        const KeyInfo* info = find_key(key);
        if (info != nullptr && !info->ready) {
            diagnostics.add(
                {setting.place, key, setting.value, "is not available yet in this version: remove the key"});
        }
    }
    JobSpec spec;
    SettingsReader read(settings, diagnostics);
    read_job(read, spec, file);
    read_data(read, spec);
    read_model(read, spec, file);
    read_optimizer(read, spec);
    read_parallel(read, spec);
    read_precision(read, spec);
    read_running(read, spec);
    diagnostics.raise();
    for (const KeyInfo& key : key_table()) {
        if (key.ready) spec.effective[std::string(key.name)] = read.text(key.name);
    }
    for (const auto& [key, setting] : settings) {
        if (find_group_key(key)) spec.effective[key] = setting.value;
    }
    spec.effective["job.name"] = spec.job.name;
    spec.effective["job.output"] = spec.job.output.string();
    spec.effective["model.file"] = spec.model.file.string();
    return spec;
}

}  // namespace trireme::jobs
