#include "jobs/spec/keys.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/format.h>

namespace trireme::jobs {
namespace {

constexpr bool later = false;

constexpr std::array table{
    KeyInfo{"job.name", "", "name of the job; default: the job file's name"},
    KeyInfo{"job.output", "", "run folder; default: runs/<name>"},
    KeyInfo{"job.seed", "0", "seed of initial values and sample order"},
    KeyInfo{"job.epochs", "",
            "passes over the training split; schedules are drawn over them (this or job.steps)"},
    KeyInfo{"job.steps", "", "steps instead of epochs"},
    KeyInfo{"job.stop_at", "", "save and end with code 0 at this step; the horizon of schedules stays"},
    KeyInfo{"job.device", "auto", "auto, cpu, cuda or reference (fp64 inside, slow)"},
    KeyInfo{"job.share_device", "false", "cuda: ranks of a host may take one GPU together"},
    KeyInfo{"job.capture", "true",
            "cuda: replay steps as graphs; false launches kernel by kernel, for profilers and the search for "
            "faults"},
    KeyInfo{"job.deterministic", "fast", "fast, or canonical: the same bits on any rank count"},
    KeyInfo{
        "job.threads", "auto",
        "kernel threads of a rank; auto: the cores of the host divided by its ranks, 1 in canonical mode"},
    KeyInfo{"job.memory_limit", "",
            "largest planned memory of a rank, on a GPU of its memory alone, such as 2G; a plan above it is "
            "refused"},
    KeyInfo{"job.workspace_mb", "512", "largest scratch of one kernel"},
    KeyInfo{"job.early_stop", "", "evaluations in a row without a better val loss that end the job"},
    KeyInfo{"job.nan", "stop",
            "what a step does whose loss or gradient is not finite: stop, or skip (it is left out)"},
    KeyInfo{"job.hash_every", "",
            "steps between checks that all ranks hold the same parameters; default: none"},
    KeyInfo{"data.path", "", "folder of the data set (trireme data import makes one)"},
    KeyInfo{"data.batch", "64", "global samples a step"},
    KeyInfo{"data.eval_batch", "", "global samples of an evaluation batch; default: data.batch"},
    KeyInfo{"data.shuffle", "global", "global, local (each rank keeps its files) or none"},
    KeyInfo{"data.augment", "none",
            "none, or crop-flip (training images: 4 pixels of zeros around, a random crop, mirrored half of "
            "the time)"},
    KeyInfo{"data.normalize", "auto", "auto (mean and deviation of the training split) or none"},
    KeyInfo{"data.workers", "1", "threads that read and decode"},
    KeyInfo{"data.prefetch", "2", "batches ready ahead"},
    KeyInfo{"data.skip_bad", "", "", later},
    KeyInfo{"model.name", "", "preset: lenet, mlp, vgg11, resnet18-cifar, resnet50, gpt-char or gpt2-124m"},
    KeyInfo{"model.file", "", "network described in a TOML file, instead of model.name (docs/models.md)"},
    KeyInfo{"model.input", "", "sample shape such as 28x28x1; default: the data set's, or the network's own"},
    KeyInfo{"model.classes", "", "classes or outputs; default: the data set's, or the network's own"},
    KeyInfo{"model.hidden", "256,128", "mlp: widths of the hidden layers"},
    KeyInfo{"model.context", "", "gpt: tokens of a sample; default: the preset's"},
    KeyInfo{"model.layers", "", "gpt: blocks; default: the preset's"},
    KeyInfo{"model.heads", "", "gpt: attention heads; default: the preset's"},
    KeyInfo{"model.width", "",
            "gpt: width of a token's vector, a multiple of the heads; default: the preset's"},
    KeyInfo{"model.vocabulary", "", "gpt: different tokens; default: the data set's, or the preset's"},
    KeyInfo{"model.dropout", "", "gpt: dropout of embeddings and branches; default: 0"},
    KeyInfo{
        "model.loss", "auto",
        "auto (the model file's, or by targets: a class, a 0/1 vector, floats), cross-entropy, bce or mse"},
    KeyInfo{"model.label_smoothing", "",
            "cross-entropy: share of the label that all classes get, such as 0.1"},
    KeyInfo{
        "model.init_from", "",
        "checkpoint to fine-tune from: tensors whose name and shape fit are taken, the others are listed"},
    KeyInfo{"model.freeze", "",
            "parameters that get no update: names with * and ?, separated by commas, such as conv*"},
    KeyInfo{"optimizer.name", "sgd", "sgd, adamw, lars or lamb"},
    KeyInfo{"optimizer.lr", "0.01", "learning rate"},
    KeyInfo{"optimizer.momentum", "0", "sgd, lars"},
    KeyInfo{"optimizer.nesterov", "false", "sgd"},
    KeyInfo{"optimizer.weight_decay", "0",
            "sgd, lars: added to the gradient; adamw, lamb: decoupled; lars, lamb: not for biases and norms"},
    KeyInfo{"optimizer.beta1", "0.9", "adamw, lamb"},
    KeyInfo{"optimizer.beta2", "0.999", "adamw, lamb"},
    KeyInfo{"optimizer.eps", "1e-8", "adamw, lamb"},
    KeyInfo{"optimizer.trust", "0.001", "lars: trust coefficient"},
    KeyInfo{"optimizer.clip", "", "largest norm of the gradient of all parameters together"},
    KeyInfo{"optimizer.schedule", "constant", "constant, step, cosine or linear"},
    KeyInfo{"optimizer.warmup", "0", "steps of linear warm-up"},
    KeyInfo{"optimizer.milestones", "0.5,0.75", "step: fractions of the job at which the rate falls"},
    KeyInfo{"optimizer.gamma", "0.1", "step: factor of each fall"},
    KeyInfo{"optimizer.floor", "0", "cosine, linear: the last rate as a fraction of lr"},
    KeyInfo{"optimizer.sharded", "", "", later},
    KeyInfo{"optimizer.ema", "",
            "decay of a moving average of parameters, such as 0.999; evaluations use the average"},
    KeyInfo{"parallel.data", "", "data-parallel ranks; default: what the world leaves"},
    KeyInfo{"parallel.pipeline", "1", "pipeline stages; more than 1 is not available yet"},
    KeyInfo{"parallel.tensor", "1", "tensor-parallel ranks; more than 1 is not available yet"},
    KeyInfo{"parallel.classes", "1", "class-parallel ranks; more than 1 is not available yet"},
    KeyInfo{"parallel.microbatches", "1",
            "pieces that a rank cuts its samples of a step into (gradient accumulation)"},
    KeyInfo{"parallel.schedule", "", "gpipe, 1f1b, interleaved, zb-h1", later},
    KeyInfo{"parallel.chunks", "", "", later},
    KeyInfo{"parallel.cut", "", "", later},
    KeyInfo{"parallel.recompute", "none",
            "activations computed again in backward instead of kept: none, auto, or a number of segments"},
    KeyInfo{"parallel.bucket_mb", "",
            "gradient bucket size in MiB; default: an eighth of the gradients, 0.25 to 25"},
    KeyInfo{
        "parallel.algorithm", "auto",
        "all-reduce: auto, ring or halving-doubling; between GPUs also staged, ipc, mpi or nccl, of which "
        "auto takes the quickest"},
    KeyInfo{"parallel.wire", "fp32", "fp32; bf16 is not available yet"},
    KeyInfo{"parallel.virtual_shards", "",
            "leaves of a step; default: 8, or parallel.data where that is larger"},
    KeyInfo{"parallel.virtual_blocks", "1", "more than 1 is not available yet"},
    KeyInfo{"parallel.elastic", "", "", later},
    KeyInfo{"parallel.min_ranks", "", "", later},
    KeyInfo{"deadline.join", "120", "seconds to join the job"},
    KeyInfo{"deadline.data", "120", "seconds for a batch to be there"},
    KeyInfo{"deadline.step", "",
            "seconds for a step; default: 300, then 50 times the median of the first steps, 30 at least"},
    KeyInfo{"deadline.checkpoint", "600", "seconds for a save"},
    KeyInfo{"precision.compute", "fp32",
            "fp32; bf16: activations in bf16, parameters and sums in fp32; cuda: also tf32 and fp16"},
    KeyInfo{"precision.loss_scale", "",
            "what losses are multiplied by before backward: dynamic, or a power of two; default: dynamic for "
            "fp16, else 1"},
    KeyInfo{"checkpoint.every", "epoch", "epoch, a number of steps, or minutes such as 30m"},
    KeyInfo{"checkpoint.keep", "3", "newest checkpoints that are kept"},
    KeyInfo{"checkpoint.keep_every", "", "checkpoints of multiples of so many steps stay for good"},
    KeyInfo{"checkpoint.best", "",
            "val_loss or val_accuracy: the checkpoint that is best by it is saved and stays"},
    KeyInfo{"checkpoint.resume", "auto",
            "auto (newest good checkpoint of the run folder), never, or a checkpoint folder"},
    KeyInfo{"checkpoint.async", "true",
            "write beside training: a step waits for a copy in memory only; false: it waits for the medium"},
    KeyInfo{"telemetry.log_every", "50", "steps between records of metrics.jsonl and progress lines"},
    KeyInfo{"telemetry.eval_every", "1", "epochs between evaluations on the val split; 0: never"},
    KeyInfo{"telemetry.progress", "auto", "auto (bar on a terminal, lines elsewhere), bar, plain or off"},
    KeyInfo{"telemetry.trace", "0",
            "steps to trace into trace.json, from the third step of the run on; 0: none"},
    KeyInfo{"telemetry.tensorboard", "", "", later},
    KeyInfo{"telemetry.mllog", "", "", later},
};

constexpr std::string_view group_prefix = "optimizer.";

constexpr std::array group_table{
    GroupKeyInfo{"match", "parameters of the group: names with * and ?, separated by commas"},
    GroupKeyInfo{"lr", "learning rate of the group"},
    GroupKeyInfo{"weight_decay", "weight decay of the group"},
};

bool is_group_name(std::string_view name) {
    return std::all_of(name.begin(), name.end(),
                       [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; });
}

}  // namespace

std::span<const KeyInfo> key_table() { return table; }

const KeyInfo* find_key(std::string_view name) {
    const auto row =
        std::find_if(table.begin(), table.end(), [&](const KeyInfo& k) { return k.name == name; });
    return row == table.end() ? nullptr : &*row;
}

std::span<const GroupKeyInfo> group_key_table() { return group_table; }

std::optional<GroupKey> find_group_key(std::string_view name) {
    if (!name.starts_with(group_prefix)) return std::nullopt;
    const std::string_view rest = name.substr(group_prefix.size());
    const std::size_t dot = rest.rfind('.');
    if (dot == std::string_view::npos || dot == 0 || !is_group_name(rest.substr(0, dot))) return std::nullopt;
    for (const GroupKeyInfo& info : group_table) {
        if (info.name == rest.substr(dot + 1)) return GroupKey{rest.substr(0, dot), info.name};
    }
    return std::nullopt;
}

std::vector<std::string> names_near(std::string_view name) {
    std::vector<std::string> names = key_names();
    const std::size_t dot = name.rfind('.');
    if (!name.starts_with(group_prefix) || dot <= group_prefix.size()) return names;
    for (const GroupKeyInfo& info : group_table)
        names.push_back(fmt::format("{}.{}", name.substr(0, dot), info.name));
    return names;
}

std::vector<std::string> key_names() {
    std::vector<std::string> names;
    for (const KeyInfo& key : table) names.emplace_back(key.name);
    return names;
}

}  // namespace trireme::jobs
