#include "io/checkpoint/folder.hpp"

#include "io/checkpoint/describe.hpp"
#include "io/checkpoint/index.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/log.hpp"
#include "runtime/core/text.hpp"

namespace trireme::io {
namespace {

namespace fs = std::filesystem;

/// The metric of a checkpoint's meta, a JSON number; empty where there is none or the index cannot be read.
std::optional<double> metric_of(const fs::path& folder, const std::string& key) {
    if (key.empty()) return std::nullopt;
    try {
        const CheckpointIndex index = open_checkpoint(folder);
        const auto found = index.meta.find(key);
        if (found == index.meta.end()) return std::nullopt;
        return parse_number(found->second);
    } catch (const DataError&) {
        return std::nullopt;  // a damaged one is nobody's best
    }
}

std::vector<CheckpointEntry> entries_of(const fs::path& dir, const std::string& metric) {
    std::vector<CheckpointEntry> entries;
    for (const fs::path& folder : completed_checkpoints(dir))
        entries.push_back({folder, step_of_folder(folder), metric_of(folder, metric)});
    return entries;
}

const CheckpointEntry* best_of(const std::vector<CheckpointEntry>& entries, const std::string& metric) {
    const CheckpointEntry* best = nullptr;
    for (const CheckpointEntry& entry : entries) {
        if (!entry.metric) continue;
        if (best == nullptr || is_better(metric, *entry.metric, *best->metric) ||
            (*entry.metric == *best->metric && entry.step < best->step))
            best = &entry;
    }
    return best;
}

std::vector<fs::path> children(const fs::path& dir) {
    std::vector<fs::path> found;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(dir, error)) found.push_back(entry.path());
    std::sort(found.begin(), found.end());
    return found;
}

/// Removes a folder of ours; what stays costs space and nothing else.
void remove_or_warn(const fs::path& folder) {
    std::error_code error;
    fs::remove_all(folder, error);
    if (error) log::warn("{}: an old checkpoint cannot be removed: {}", folder.string(), error.message());
}

std::string why_damaged(const fs::path& folder) {
    try {
        verify_checkpoint(folder).require_good();
    } catch (const DataError& error) {
        return error.what();
    }
    return "";
}

}  // namespace

std::vector<CheckpointEntry> superseded(std::vector<CheckpointEntry> entries, const KeepPolicy& policy) {
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.step > b.step; });
    const CheckpointEntry* best = policy.best.empty() ? nullptr : best_of(entries, policy.best);
    std::vector<CheckpointEntry> gone;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const bool kept = static_cast<std::int64_t>(i) < policy.newest ||
                          (policy.every > 0 && entries[i].step % policy.every == 0) || &entries[i] == best;
        if (!kept) gone.push_back(entries[i]);
    }
    return gone;
}

bool is_better(const std::string& metric, double a, double b) { return metric == "val_loss" ? a < b : a > b; }

void remove_superseded(const fs::path& dir, const KeepPolicy& policy) {
    for (const CheckpointEntry& entry : superseded(entries_of(dir, policy.best), policy)) {
        // Renamed first: a job that is killed while it removes leaves what clear_leftovers knows, not half a
        // checkpoint.
        const fs::path doomed = temporary_step_folder(dir, entry.step);
        std::error_code error;
        fs::rename(entry.folder, doomed, error);
        remove_or_warn(error ? entry.folder : doomed);
    }
}

std::vector<std::int64_t> set_aside_later(const fs::path& dir, std::int64_t from, std::int64_t saved) {
    std::vector<std::int64_t> steps;
    for (const fs::path& folder : children(dir)) {
        const std::int64_t step = step_of_folder(folder);
        if (step <= from || step == saved) continue;
        const fs::path aside = dir / ("aside-" + folder.filename().string());
        std::error_code error;
        fs::remove_all(aside, error);
        fs::rename(folder, aside, error);
        if (error) log::warn("{}: cannot be set aside: {}", folder.string(), error.message());
        if (!error) steps.push_back(step);
    }
    return steps;
}

void clear_leftovers(const fs::path& dir) {
    static constexpr std::string_view replaced = ".old-";
    for (const fs::path& path : children(dir)) {
        const std::string name = path.filename().string();
        if (name.starts_with(".tmp-step-")) remove_or_warn(path);
        if (!name.starts_with(replaced)) continue;
        const fs::path successor = dir / name.substr(replaced.size());
        if (fs::exists(successor / done_file_name)) {
            remove_or_warn(path);
            continue;
        }
        remove_or_warn(successor);
        std::error_code error;
        fs::rename(path, successor, error);
        if (error) log::warn("{}: cannot get its name back: {}", path.string(), error.message());
    }
    bool newer_is_complete = false;
    for (const CheckpointFolder& folder : step_folders(dir)) {
        if (!folder.complete && newer_is_complete) remove_or_warn(folder.folder);
        newer_is_complete = newer_is_complete || folder.complete;
    }
}

std::vector<CheckpointFolder> step_folders(const fs::path& dir) {
    std::vector<CheckpointFolder> folders;
    for (const fs::path& folder : children(dir)) {
        const std::int64_t step = step_of_folder(folder);
        if (step >= 0) folders.push_back({step, folder, fs::exists(folder / done_file_name)});
    }
    std::sort(folders.begin(), folders.end(), [](const auto& a, const auto& b) { return a.step > b.step; });
    return folders;
}

NewestGood newest_good(const fs::path& dir) {
    NewestGood found;
    for (const auto& [step, folder, complete] : step_folders(dir)) {
        if (!complete) {
            found.incomplete.push_back(fmt::format("{}: has no DONE: its save did not end", folder.string()));
            continue;
        }
        const std::string damage = why_damaged(folder);
        if (damage.empty()) {
            found.folder = folder;
            return found;
        }
        found.damaged.push_back(damage);
    }
    return found;
}

fs::path checkpoints_folder(const fs::path& named) {
    if (!fs::is_directory(named))
        throw DataError(fmt::format("{}: there is no such checkpoint folder", named.string()));
    return fs::is_directory(named / "checkpoints") ? named / "checkpoints" : named;
}

fs::path resolve_checkpoint(const fs::path& named) {
    const fs::path dir = checkpoints_folder(named);
    if (fs::exists(dir / index_file_name) || step_of_folder(dir) >= 0) return dir;
    const NewestGood found = newest_good(dir);
    if (!found.folder && !found.damaged.empty()) throw DataError(found.damaged.front());
    if (!found.folder) {
        throw DataError(
            fmt::format("{}: has no complete checkpoint (folders step-N with a file DONE)", dir.string()));
    }
    for (const std::vector<std::string>& reasons : {found.incomplete, found.damaged}) {
        for (const std::string& reason : reasons)
            log::warn("passed over: {}; {} is taken instead", reason, found.folder->string());
    }
    return *found.folder;
}

}  // namespace trireme::io
