#include "jobs/commands/data_sources.hpp"

#include <fmt/format.h>

#include "io/import/cifar10_source.hpp"
#include "io/import/folder_source.hpp"
#include "io/import/hdf5_source.hpp"
#include "io/import/idx_source.hpp"
#include "io/import/synthetic_source.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::jobs {
namespace {

constexpr std::int64_t max_side = 16'384;

struct SourceKind {
    const char* name;
    const char* how;
    std::vector<std::string> flags;  ///< of those that not every kind takes
};

const std::vector<SourceKind>& source_kinds() {
    static const std::vector<SourceKind> kinds{
        {"idx", "idx:FOLDER (MNIST's files)", {"licence"}},
        {"cifar10", "cifar10:FOLDER (the binary version)", {"licence"}},
        {"folder", "folder:PATH (one folder of images a class)", {"licence", "size", "skip-bad"}},
        {"hdf5", "hdf5:FILE with --x and --y", {"licence", "x", "y"}},
        {"text", "text:FILE (plain or .gz)", {"licence", "tokenizer"}},
        {"synthetic", "synthetic:cifar10, imagenet or mnist", {"size"}}};
    return kinds;
}

struct SourceText {
    std::string kind;
    std::string path;
};

SourceText source_text(const Arguments& arguments) {
    const std::string text = arguments.value("source");
    const std::size_t colon = text.find(':');
    return {text.substr(0, colon), colon == std::string::npos ? "" : text.substr(colon + 1)};
}

/// "HxW"; empty where it is no size.
std::optional<io::ImageSize> parse_size(const std::string& text) {
    const std::vector<std::string> sides = split(text, 'x');
    if (sides.size() != 2) return std::nullopt;
    const auto height = parse_integer(sides[0]);
    const auto width = parse_integer(sides[1]);
    const auto fits = [](const std::optional<std::int64_t>& side) {
        return side && *side >= 1 && *side <= max_side;
    };
    if (!fits(height) || !fits(width)) return std::nullopt;
    return io::ImageSize{*height, *width};
}

std::optional<io::ImageSize> size_of(const Arguments& arguments) {
    return arguments.has("size") ? parse_size(arguments.value("size")) : std::nullopt;
}

}  // namespace

void check_source_flags(const Arguments& arguments) {
    const auto [kind, path] = source_text(arguments);
    std::vector<std::string> names;
    std::vector<std::string> ways;
    const SourceKind* found = nullptr;
    for (const SourceKind& known : source_kinds()) {
        names.emplace_back(known.name);
        ways.emplace_back(known.how);
        if (kind == known.name) found = &known;
    }
    if (found == nullptr || path.empty()) {
        throw ConfigError(fmt::format("command line: --source {}: must be {}{}", arguments.value("source"),
                                      fmt::join(ways, "; "),
                                      found == nullptr ? did_you_mean(kind, names) : ""));
    }
    Diagnostics diagnostics;
    for (const char* flag : {"licence", "size", "skip-bad", "tokenizer", "x", "y"}) {
        const auto& taken = found->flags;
        if (!arguments.has(flag) || std::find(taken.begin(), taken.end(), flag) != taken.end()) continue;
        diagnostics.add({"command line", std::string("--") + flag, arguments.value(flag),
                         fmt::format("is not for sources of kind {}", kind)});
    }
    if (kind == "hdf5") {
        for (const char* flag : {"x", "y"}) {
            if (!arguments.has(flag))
                diagnostics.add({"command line", std::string("--") + flag, "",
                                 "is missing: the name of a data set inside the file"});
        }
    }
    if (arguments.has("size") && !parse_size(arguments.value("size"))) {
        diagnostics.add(
            {"command line", "--size", arguments.value("size"),
             fmt::format("must be HxW, such as 224x224: height and width from 1 to {}", max_side)});
    }
    diagnostics.raise();
}

std::optional<io::TextSource> text_source(const Arguments& arguments) {
    const auto [kind, path] = source_text(arguments);
    if (kind != "text") return std::nullopt;
    const std::string tokenizer = arguments.value("tokenizer", "bytes");
    return io::TextSource{path, tokenizer == "bytes" ? "" : tokenizer,
                          arguments.value("licence", "see the source")};
}

std::unique_ptr<io::ImportSource> open_source(const Arguments& arguments, std::uint64_t seed,
                                              const io::ImportTeam& team) {
    const auto [kind, path] = source_text(arguments);
    const std::string licence = arguments.value("licence", "see the source");
    if (kind == "cifar10") return std::make_unique<io::Cifar10Source>(path, licence);
    if (kind == "folder") {
        const io::FolderOptions options{size_of(arguments), arguments.has("skip-bad"), licence};
        return std::make_unique<io::FolderSource>(path, options, team);
    }
    if (kind == "hdf5") {
        return std::make_unique<io::Hdf5Source>(path, arguments.value("x"), arguments.value("y"), licence);
    }
    if (kind == "synthetic") return std::make_unique<io::SyntheticSource>(path, seed, size_of(arguments));
    return std::make_unique<io::IdxSource>(path, 10, licence);
}

}  // namespace trireme::jobs
