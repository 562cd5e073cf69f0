#include "jobs/spec/keys.hpp"

#include <algorithm>
#include <array>

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
    KeyInfo{"job.deterministic", "fast",
            "fast; canonical (same bits on any rank count) is not available yet"},
    KeyInfo{"job.threads", "auto",
            "kernel threads of a rank; auto: the cores of the host divided by its ranks"},
    KeyInfo{"job.memory_limit", "",
            "largest planned memory of a rank, such as 2G; a plan above it is refused"},
    KeyInfo{"job.workspace_mb", "512", "largest scratch of one kernel"},
    KeyInfo{"job.early_stop", "", "evaluations without gain", later},
    KeyInfo{"job.nan", "stop", "what a loss that is not finite does; skip is not available yet"},
    KeyInfo{"job.hash_every", "", "steps between replica checks", later},
    KeyInfo{"data.path", "", "folder of the data set (trireme data import makes one)"},
    KeyInfo{"data.batch", "64", "global samples a step"},
    KeyInfo{"data.eval_batch", "", "global samples of an evaluation batch; default: data.batch"},
    KeyInfo{"data.shuffle", "global", "global, local (each rank keeps its files) or none"},
    KeyInfo{"data.augment", "none", "none; crop-flip is not available yet"},
    KeyInfo{"data.normalize", "auto", "auto (mean and deviation of the training split) or none"},
    KeyInfo{"data.workers", "1", "threads that read and decode"},
    KeyInfo{"data.prefetch", "2", "batches ready ahead"},
    KeyInfo{"data.skip_bad", "", "", later},
    KeyInfo{"model.name", "", "preset: lenet, mlp"},
    KeyInfo{"model.file", "", "TOML model file", later},
    KeyInfo{"model.input", "", "sample shape such as 28x28x1; default: the preset's, or the data set's"},
    KeyInfo{"model.classes", "", "classes; default: the preset's, or the data set's"},
    KeyInfo{"model.hidden", "256,128", "mlp: widths of the hidden layers"},
    KeyInfo{"model.loss", "cross-entropy", "cross-entropy; bce and mse are not available yet"},
    KeyInfo{"model.label_smoothing", "", "", later},
    KeyInfo{"model.init_from", "", "checkpoint to fine-tune from", later},
    KeyInfo{"model.freeze", "", "parameters that stay", later},
    KeyInfo{"optimizer.name", "sgd", "sgd or adamw; lars and lamb are not available yet"},
    KeyInfo{"optimizer.lr", "0.01", "learning rate"},
    KeyInfo{"optimizer.momentum", "0", "sgd"},
    KeyInfo{"optimizer.nesterov", "false", "sgd"},
    KeyInfo{"optimizer.weight_decay", "0", "sgd: added to the gradient; adamw: decoupled"},
    KeyInfo{"optimizer.beta1", "0.9", "adamw"},
    KeyInfo{"optimizer.beta2", "0.999", "adamw"},
    KeyInfo{"optimizer.eps", "1e-8", "adamw"},
    KeyInfo{"optimizer.clip", "", "largest gradient norm", later},
    KeyInfo{"optimizer.schedule", "constant", "constant, step, cosine or linear"},
    KeyInfo{"optimizer.warmup", "0", "steps of linear warm-up"},
    KeyInfo{"optimizer.milestones", "0.5,0.75", "step: fractions of the job at which the rate falls"},
    KeyInfo{"optimizer.gamma", "0.1", "step: factor of each fall"},
    KeyInfo{"optimizer.floor", "0", "cosine, linear: the last rate as a fraction of lr"},
    KeyInfo{"optimizer.sharded", "", "", later},
    KeyInfo{"optimizer.ema", "", "", later},
    KeyInfo{"parallel.data", "", "data-parallel ranks; default: what the world leaves"},
    KeyInfo{"parallel.pipeline", "1", "pipeline stages; more than 1 is not available yet"},
    KeyInfo{"parallel.tensor", "1", "tensor-parallel ranks; more than 1 is not available yet"},
    KeyInfo{"parallel.classes", "1", "class-parallel ranks; more than 1 is not available yet"},
    KeyInfo{"parallel.microbatches", "1",
            "pieces that a rank cuts its samples of a step into (gradient accumulation)"},
    KeyInfo{"parallel.schedule", "", "gpipe, 1f1b, interleaved, zb-h1", later},
    KeyInfo{"parallel.chunks", "", "", later},
    KeyInfo{"parallel.cut", "", "", later},
    KeyInfo{"parallel.recompute", "", "", later},
    KeyInfo{"parallel.bucket_mb", "",
            "gradient bucket size in MiB; default: an eighth of the gradients, 0.25 to 25"},
    KeyInfo{"parallel.algorithm", "auto", "all-reduce: auto, ring or halving-doubling"},
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
    KeyInfo{"precision.compute", "fp32", "fp32; tf32, bf16 and fp16 are not available yet"},
    KeyInfo{"precision.loss_scale", "", "", later},
    KeyInfo{"checkpoint.every", "epoch", "epoch, or a number of steps"},
    KeyInfo{"checkpoint.keep", "3", "newest checkpoints that are kept"},
    KeyInfo{"checkpoint.keep_every", "", "", later},
    KeyInfo{"checkpoint.best", "", "", later},
    KeyInfo{"checkpoint.resume", "auto",
            "auto (newest checkpoint of the run folder), never, or a checkpoint folder"},
    KeyInfo{"checkpoint.async", "false", "true is not available yet"},
    KeyInfo{"telemetry.log_every", "50", "steps between records of metrics.jsonl and progress lines"},
    KeyInfo{"telemetry.eval_every", "1", "epochs between evaluations on the val split; 0: never"},
    KeyInfo{"telemetry.progress", "auto", "auto (bar on a terminal, lines elsewhere), bar, plain or off"},
    KeyInfo{"telemetry.trace", "0",
            "steps to trace into trace.json, from the third step of the run on; 0: none"},
    KeyInfo{"telemetry.tensorboard", "", "", later},
    KeyInfo{"telemetry.mllog", "", "", later},
};

}  // namespace

std::span<const KeyInfo> key_table() { return table; }

const KeyInfo* find_key(std::string_view name) {
    const auto row =
        std::find_if(table.begin(), table.end(), [&](const KeyInfo& k) { return k.name == name; });
    return row == table.end() ? nullptr : &*row;
}

std::vector<std::string> key_names() {
    std::vector<std::string> names;
    for (const KeyInfo& key : table) names.emplace_back(key.name);
    return names;
}

}  // namespace trireme::jobs
