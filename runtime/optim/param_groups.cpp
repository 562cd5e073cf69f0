#include "runtime/optim/param_groups.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme {
namespace {

constexpr std::size_t most_names = 6;  // in a message

/// One pattern. On a mismatch the last `*` takes one more character; earlier ones never need to.
bool fits(std::string_view pattern, std::string_view name) {
    std::size_t p = 0;
    std::size_t n = 0;
    std::size_t star = std::string_view::npos;
    std::size_t resume = 0;
    while (n < name.size()) {
        if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n]) && pattern[p] != '*') {
            ++p;
            ++n;
        } else if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = n;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            n = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

std::vector<std::string> names_of(const layers::ModelGraph& graph) {
    std::vector<std::string> names;
    for (const layers::ParamSpec& spec : graph.params()) names.push_back(spec.name);
    return names;
}

/// Names that what is left of the pattern, its wildcards taken out, is a misspelling of; or a part of which
/// (between dots) is.
std::vector<std::string> near_names(std::string_view match, const std::vector<std::string>& names) {
    std::vector<std::string> parts;
    for (const std::string& name : names) {
        for (const std::string& part : split(name, '.')) parts.push_back(part);
    }
    std::vector<std::string> near;
    const auto take = [&](const std::string& found, bool whole) {
        for (const std::string& name : names) {
            const std::vector<std::string> own = split(name, '.');
            const bool hit = whole ? name == found : std::find(own.begin(), own.end(), found) != own.end();
            if (hit && std::find(near.begin(), near.end(), name) == near.end()) near.push_back(name);
        }
    };
    for (const std::string& pattern : split(match, ',')) {
        std::string bare;
        for (char c : trim(pattern)) {
            if (c != '*' && c != '?') bare += c;
        }
        if (const std::string whole = nearest(bare, names); !whole.empty()) {
            take(whole, true);
            continue;
        }
        for (const std::string& piece : split(bare, '.')) {
            if (const std::string part = nearest(piece, parts); !piece.empty() && !part.empty())
                take(part, false);
        }
    }
    return near;
}

[[noreturn]] void refuse(const ParamGroup& group, const layers::ModelGraph& graph) {
    const std::vector<std::string> names = names_of(graph);
    const std::string subject = fmt::format("optimizer.{}.match = {}", group.name, group.match);
    for (const std::string& name : names) {
        if (!matches_name(group.match, name)) continue;
        throw ConfigError(fmt::format(
            "{}: every parameter that it matches ({} and others like it) belongs to an earlier group: put "
            "this group first, or remove it",
            subject, name));
    }
    std::vector<std::string> shown = near_names(group.match, names);
    const std::string_view label = shown.empty() ? "the model has" : "the nearest are";
    if (shown.empty()) shown = names;
    const bool more = shown.size() > most_names;
    shown.resize(std::min(shown.size(), most_names));
    throw ConfigError(fmt::format("{}: matches no parameter; {} {}{} (trireme inspect --what graph)", subject,
                                  label, fmt::join(shown, ", "), more ? ", ..." : ""));
}

ParamSettings settings_without_group(const OptimizerSpec& spec, const layers::ParamSpec& param) {
    ParamSettings settings;
    settings.weight_decay = spec.weight_decay;
    const bool by_norms = spec.name == "lars" || spec.name == "lamb";
    if (by_norms && param.shape.rank() <= 1) {
        settings.adapted = false;
        settings.weight_decay = 0;
    }
    return settings;
}

}  // namespace

bool matches_name(std::string_view match, std::string_view name) {
    const std::vector<std::string> patterns = split(match, ',');
    return std::any_of(patterns.begin(), patterns.end(),
                       [&](const std::string& pattern) { return fits(trim(pattern), name); });
}

std::vector<ParamSettings> param_settings(const OptimizerSpec& spec, const layers::ModelGraph& graph) {
    std::vector<ParamSettings> all;
    std::vector<bool> used(spec.groups.size());
    for (const layers::ParamSpec& param : graph.params()) {
        ParamSettings settings = settings_without_group(spec, param);
        const auto group = std::find_if(spec.groups.begin(), spec.groups.end(), [&](const ParamGroup& g) {
            return matches_name(g.match, param.name);
        });
        if (group != spec.groups.end()) {
            used[static_cast<std::size_t>(group - spec.groups.begin())] = true;
            if (group->lr) {
                if (spec.lr == 0)
                    throw ConfigError(
                        fmt::format("optimizer.{}.lr needs optimizer.lr above 0: the schedule "
                                    "is drawn for that and scaled",
                                    group->name));
                settings.lr_factor = *group->lr / spec.lr;
            }
            if (group->weight_decay) settings.weight_decay = *group->weight_decay;
        }
        all.push_back(settings);
    }
    for (std::size_t g = 0; g < used.size(); ++g) {
        if (!used[g]) refuse(spec.groups[g], graph);
    }
    return all;
}

}  // namespace trireme
