#include <cmath>
#include <numeric>

#include "io/import/import.hpp"
#include "io/shard_format.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/philox.hpp"
#include "runtime/core/text.hpp"

namespace trireme::io {
namespace {

constexpr int default_shards = 8;
constexpr std::int64_t default_shard_bytes = std::int64_t{1} << 30;
constexpr double fraction_slack = 1e-9;

[[noreturn]] void bad_split(const std::string& text, const std::string& why) {
    throw ConfigError(
        fmt::format("--split {}: {}: write `given`, or fractions that add up to 1 such as "
                    "train=0.9,val=0.1",
                    text, why));
}

double parse_fraction(const std::string& text, const std::string& name, const std::string& number) {
    const auto value = parse_number(number);
    if (!value) bad_split(text, fmt::format("'{}' of {} is not a number", number, name));
    if (*value < 0 || *value > 1)
        bad_split(text, fmt::format("{} of {} is not between 0 and 1", number, name));
    return *value;
}

/// All samples of the named parts, in the source's order.
std::vector<SourceRef> pool(const ImportSource& source, const std::vector<std::string>& names) {
    std::vector<SourceRef> samples;
    const std::vector<SourcePart> parts = source.parts();
    for (std::uint32_t p = 0; p < parts.size(); ++p) {
        if (std::find(names.begin(), names.end(), parts[p].name) == names.end()) continue;
        for (std::int64_t i = 0; i < parts[p].samples; ++i) samples.push_back({p, i});
    }
    return samples;
}

/// A permutation drawn once by the import seed.
std::vector<SourceRef> mixed(std::vector<SourceRef> samples, std::uint64_t seed, const std::string& name) {
    std::vector<std::uint64_t> order(samples.size());
    std::iota(order.begin(), order.end(), std::uint64_t{0});
    RandomStream(seed, "import/mix/" + name).shuffle(order);
    std::vector<SourceRef> result;
    result.reserve(order.size());
    for (const std::uint64_t i : order) result.push_back(samples[i]);
    return result;
}

/// Deals `samples` to the splits, in their order, by the fractions.
void deal(const std::vector<SourceRef>& samples, const SplitPlan& split, ImportPlan& plan) {
    double sum = 0;
    std::size_t begin = 0;
    for (const auto& [name, fraction] : split.fractions) {
        sum += fraction;
        const bool last = &name == &split.fractions.back().first;
        const std::size_t end =
            last ? samples.size()
                 : static_cast<std::size_t>(std::llround(sum * static_cast<double>(samples.size())));
        std::vector<SourceRef>& order = plan.splits[name].order;
        order.insert(order.end(), samples.begin() + static_cast<std::ptrdiff_t>(begin),
                     samples.begin() + static_cast<std::ptrdiff_t>(end));
        begin = end;
    }
}

/// The same class by class; each split is mixed again, so that its classes do not lie one after the other.
void deal_by_class(const ImportSource& source, const std::vector<SourceRef>& samples,
                   const ImportOptions& options, ImportPlan& plan) {
    std::map<std::int32_t, std::vector<SourceRef>> classes;
    for (const SourceRef& ref : samples) classes[source.label(ref.part, ref.index)].push_back(ref);
    for (const auto& [label, members] : classes) deal(members, options.split, plan);
    for (const auto& [name, fraction] : options.split.fractions) {
        std::vector<SourceRef>& order = plan.splits[name].order;
        order = mixed(std::move(order), options.seed, "stratified/" + name);
    }
}

void cut_by_fractions(const ImportSource& source, const ImportOptions& options, ImportPlan& plan) {
    const auto& fractions = options.split.fractions;
    const bool test_too =
        std::any_of(fractions.begin(), fractions.end(), [](const auto& f) { return f.first == "test"; });
    std::vector<std::string> pooled = {"train", "val"};
    if (test_too) pooled.push_back("test");
    const std::vector<SourceRef> samples = mixed(pool(source, pooled), options.seed, "all");
    if (options.stratified) {
        deal_by_class(source, samples, options, plan);
    } else {
        deal(samples, options.split, plan);
    }
    if (!test_too) plan.splits["test"].order = mixed(pool(source, {"test"}), options.seed, "test");
}

void require_stratifiable(const ImportSource& source, const ImportOptions& options) {
    if (!options.stratified) return;
    if (options.split.given) {
        throw ConfigError(
            "--stratified: cuts splits anew, but --split given keeps the source's own: name fractions, such "
            "as --split train=0.9,val=0.1");
    }
    if (source.target_kind() != target_class) {
        throw ConfigError(
            fmt::format("--stratified: needs a class for each sample, but the targets of {} are of kind {}: "
                        "leave it out",
                        source.description(), source.target_kind()));
    }
}

/// What no shard can hold is told before anything is written.
void require_storable(const ImportSource& source) {
    const Shape shape = source.sample_shape();
    const std::int64_t bytes = shape.elements().value * size_of(source.dtype());
    if (shape.rank() < 1 || bytes < 1 || bytes > max_sample_bytes || shape[shape.rank() - 1] > max_channels) {
        throw DataError(fmt::format(
            "{}: has samples {}: a sample has 1 to {} bytes and a last axis of at most {} entries; "
            "give long samples one more axis",
            source.description(), shape.str(), max_sample_bytes, max_channels));
    }
    if (source.classes() < 1 || source.classes() > max_classes) {
        throw DataError(fmt::format("{}: has {} classes: there are 1 to {}", source.description(),
                                    source.classes(), max_classes));
    }
}

std::int64_t target_bytes(const ImportSource& source) {
    return source.target_shape().elements().value * size_of(target_dtype_of(source.target_kind()));
}

std::int64_t row_bytes(const ImportSource& source) {
    return source.sample_shape().elements().value * size_of(source.dtype()) + target_bytes(source);
}

}  // namespace

SplitPlan parse_split(const std::string& text) {
    SplitPlan plan;
    if (text == "given") return plan;
    plan.given = false;
    double sum = 0;
    for (const std::string& item : split(text, ',')) {
        const std::size_t equals = item.find('=');
        if (equals == std::string::npos) bad_split(text, fmt::format("'{}' has no '='", item));
        const std::string name(trim(std::string_view(item).substr(0, equals)));
        const std::string number(trim(std::string_view(item).substr(equals + 1)));
        const std::vector<std::string> known(split_names.begin(), split_names.end());
        if (std::find(known.begin(), known.end(), name) == known.end()) {
            bad_split(text, fmt::format("'{}' is no split{}; there are train, val and test", name,
                                        did_you_mean(name, known)));
        }
        const bool twice = std::any_of(plan.fractions.begin(), plan.fractions.end(),
                                       [&](const auto& f) { return f.first == name; });
        if (twice) bad_split(text, fmt::format("{} is given twice", name));
        plan.fractions.emplace_back(name, parse_fraction(text, name, number));
        sum += plan.fractions.back().second;
    }
    if (plan.fractions.empty()) bad_split(text, "is empty");
    if (std::abs(sum - 1) > fraction_slack) bad_split(text, fmt::format("the fractions add up to {}", sum));
    return plan;
}

std::vector<IndexRange> block_pieces(std::int64_t rows, std::int64_t block, int shards) {
    const std::int64_t blocks = (rows + block - 1) / block;
    std::vector<IndexRange> pieces;
    for (int shard = 0; shard < shards; ++shard) {
        const IndexRange piece = even_piece(blocks, shards, shard);
        pieces.push_back({std::min(piece.begin * block, rows), std::min(piece.end * block, rows)});
    }
    return pieces;
}

int checked_shards(int asked, std::int64_t bytes) {
    if (asked < 0 || asked > max_shards) {
        throw ConfigError(fmt::format("--shards {}: give a number from 1 to {}", asked, max_shards));
    }
    if (asked > 0) return asked;
    const std::int64_t by_size = (bytes + default_shard_bytes - 1) / default_shard_bytes;
    return static_cast<int>(std::clamp<std::int64_t>(by_size, default_shards, max_shards));
}

ImportPlan plan_import(const ImportSource& source, const ImportOptions& options) {
    (void)checked_shards(options.shards, 0);
    require_stratifiable(source, options);
    require_storable(source);
    ImportPlan plan;
    plan.seed = options.seed;
    plan.deflate = options.deflate;
    for (const char* name : split_names) plan.splits[name];
    if (options.split.given) {
        for (const char* name : split_names) {
            plan.splits[name].order = mixed(pool(source, {name}), options.seed, name);
        }
    } else {
        cut_by_fractions(source, options, plan);
    }
    std::int64_t samples = 0;
    for (const auto& [name, layout] : plan.splits) samples += static_cast<std::int64_t>(layout.order.size());
    plan.shards = checked_shards(options.shards, samples * row_bytes(source));
    const std::int64_t block = block_samples_for(
        source.sample_shape().elements().value * size_of(source.dtype()), target_bytes(source));
    for (auto& [name, layout] : plan.splits) {
        const std::int64_t total = static_cast<std::int64_t>(layout.order.size());
        layout.pieces = block_pieces(total, block, plan.shards);
    }
    return plan;
}

DataSetInfo import_data_set(const ImportSource& source, const std::filesystem::path& out,
                            const ImportOptions& options, const ImportTeam& team) {
    return write_import(source, plan_import(source, options), out, team);
}

}  // namespace trireme::io
