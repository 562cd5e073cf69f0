#include "runtime/kernels/rules/plan_cache.hpp"

#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "io/posix_file.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/quantile.hpp"

namespace trireme {
namespace {

using nlohmann::json;

constexpr std::string_view format_name = "trireme plan cache 2";
constexpr std::int64_t largest_file = std::int64_t{64} << 20;

[[noreturn]] void refuse(std::string_view what) {
    throw DataError(fmt::format("the text of a plan cache {}", what));
}

PlanChoice choice_of(const std::string& key, const json& value) {
    if (!value.is_object() || !value.contains("plan") || !value["plan"].is_string() ||
        !value.contains("microseconds") || !value["microseconds"].is_number()) {
        refuse(fmt::format("has no plan with its microseconds at '{}'", key));
    }
    PlanChoice choice{value["plan"].get<std::string>(), value["microseconds"].get<double>()};
    if (choice.plan.empty() || !std::isfinite(choice.microseconds) || choice.microseconds < 0)
        refuse(fmt::format("has no possible plan or time at '{}'", key));
    return choice;
}

std::map<std::string, PlanChoice> choices_in(std::string_view text) {
    const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (document.is_discarded()) refuse("is not JSON");
    if (!document.is_object() || document.value("format", json()) != format_name)
        refuse(fmt::format("does not have the format '{}'", format_name));
    const json plans = document.value("plans", json());
    if (!plans.is_object()) refuse("has no plans");
    std::map<std::string, PlanChoice> choices;
    for (const auto& [key, value] : plans.items()) choices.emplace(key, choice_of(key, value));
    return choices;
}

}  // namespace

std::filesystem::path plan_cache_path(const std::function<const char*(const char*)>& variable) {
    if (const char* named = variable("TRIREME_PLAN_CACHE")) return named;
    const auto file_in = [](const std::filesystem::path& folder) {
        return folder / "trireme" / "plans.json";
    };
    const auto is_set = [](const char* value) { return value != nullptr && *value != 0; };
    if (const char* caches = variable("XDG_CACHE_HOME"); is_set(caches)) return file_in(caches);
    if (const char* home = variable("HOME"); is_set(home))
        return file_in(std::filesystem::path(home) / ".cache");
    return {};
}

std::optional<PlanChoice> fastest(std::span<const PlanTimes> plans) {
    std::optional<PlanChoice> best;
    for (const PlanTimes& times : plans) {
        if (times.microseconds.size() < least_tuning_runs) continue;
        const double median = quantile(times.microseconds, 0.5);
        if (!best || median < best->microseconds) best = PlanChoice{times.plan, median};
    }
    return best;
}

std::string PlanEnvironment::str() const {
    return fmt::format("{} sm_{} cudnn {} cublaslt {}", gpu, sm, cudnn, cublaslt);
}

std::string PlanCache::key(std::string_view graph) const {
    return fmt::format("{} | {}", environment_, graph);
}

std::optional<PlanChoice> PlanCache::find(std::string_view graph) const {
    const auto found = choices_.find(key(graph));
    if (found == choices_.end()) return std::nullopt;
    return found->second;
}

void PlanCache::put(std::string_view graph, PlanChoice choice) {
    choices_.insert_or_assign(key(graph), std::move(choice));
}

std::string PlanCache::text() const {
    json plans = json::object();
    for (const auto& [key, choice] : choices_)
        plans[key] = {{"plan", choice.plan}, {"microseconds", choice.microseconds}};
    return json{{"format", format_name}, {"plans", std::move(plans)}}.dump(1) + '\n';
}

void PlanCache::merge(std::string_view text) {
    for (auto& [key, choice] : choices_in(text)) choices_.insert_or_assign(key, std::move(choice));
}

void PlanCache::replace(std::string_view text) { choices_ = choices_in(text); }

std::string PlanCache::read(const std::filesystem::path& path) {
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) return {};
    try {
        merge(io::read_text_file(path, largest_file));
    } catch (const DataError& e) {
        return fmt::format("{}: {}; its plans are measured again", path.string(), e.what());
    }
    return {};
}

void PlanCache::write(const std::filesystem::path& path) const {
    if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path());
    io::write_text_file(path, text());
}

}  // namespace trireme
