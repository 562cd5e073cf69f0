#include "io/doctor_checks.hpp"

#include <cmath>
#include <cstring>
#include <limits>

#include "io/shard_format.hpp"
#include "io/targets.hpp"
#include "runtime/core/digest.hpp"
#include "runtime/core/text.hpp"

namespace trireme::io {
namespace {

using Status = DataFinding::Status;

constexpr int split_shift = 60;
constexpr std::int64_t uneven_ratio = 10;
constexpr std::int64_t large_block_bytes = std::int64_t{4} << 20;
constexpr std::int64_t few_blocks = 8;
constexpr double useless_saving = 0.05;

std::uint64_t split_number(const std::string& name) {
    const auto found = std::find(split_names.begin(), split_names.end(), name);
    return static_cast<std::uint64_t>(found - split_names.begin());
}

SamplePlace place_of(std::uint64_t packed) {
    const std::uint64_t index = packed & ((std::uint64_t{1} << split_shift) - 1);
    return {split_names.at(packed >> split_shift), static_cast<std::int64_t>(index)};
}

std::string str(const SamplePlace& place) { return fmt::format("{} sample {}", place.split, place.index); }

float element_of(const DataSetInfo& info, std::span<const std::byte> sample, std::size_t i) {
    if (info.x_dtype == DType::u8) return static_cast<float>(std::to_integer<unsigned>(sample[i]));
    float value = 0;
    std::memcpy(&value, sample.data() + i * sizeof value, sizeof value);
    return value;
}

std::string class_name(const DataSetInfo& info, std::size_t c) {
    return info.class_names.empty() ? fmt::format("class {}", c)
                                    : fmt::format("class {} ({})", c, info.class_names[c]);
}

/// The first few of a list, and how many there are.
std::string shortened(const std::vector<std::string>& items) {
    constexpr std::size_t shown = 5;
    const std::vector<std::string> head(
        items.begin(), items.begin() + static_cast<std::ptrdiff_t>(std::min(shown, items.size())));
    return fmt::format("{}{}", fmt::join(head, ", "),
                       items.size() > shown ? fmt::format(" and {} more", items.size() - shown) : "");
}

}  // namespace

Evidence::Evidence(const DataSetInfo& info) {
    const auto features =
        static_cast<std::size_t>(info.is_stream() ? 0 : info.sample_shape[info.sample_shape.rank() - 1]);
    least.assign(features, std::numeric_limits<float>::infinity());
    most.assign(features, -std::numeric_limits<float>::infinity());
    std::int64_t samples = 0;
    for (const auto& [name, split] : info.splits) {
        samples += split.samples;
        class_samples[name].assign(static_cast<std::size_t>(info.classes), 0);
    }
    if (!info.is_stream()) hashes.reserve(static_cast<std::size_t>(samples));
}

void Evidence::add_tokens(const DataSetInfo& info, const std::string& split,
                          std::span<const std::byte> tokens) {
    std::vector<std::int64_t>& counts = class_samples.at(split);
    const auto bytes = static_cast<std::size_t>(size_of(info.x_dtype));
    for (std::size_t i = 0; i < tokens.size(); i += bytes)
        ++counts[static_cast<std::size_t>(token_of(tokens.subspan(i, bytes)))];
}

void Evidence::add(const DataSetInfo& info, const SamplePlace& place, std::span<const std::byte> sample) {
    hashes.push_back({xxh3(sample.data(), sample.size()),
                      split_number(place.split) << split_shift | static_cast<std::uint64_t>(place.index)});
    const auto elements = static_cast<std::size_t>(info.sample_shape.elements().value);
    const bool train = place.split == "train";
    bool finite = true;
    bool varies = false;
    const float first = element_of(info, sample, 0);
    for (std::size_t i = 0, feature = 0; i < elements; ++i) {
        const float value = element_of(info, sample, i);
        finite = finite && std::isfinite(value);
        varies = varies || value != first;
        if (train) {
            least[feature] = std::min(least[feature], value);
            most[feature] = std::max(most[feature], value);
        }
        if (++feature == least.size()) feature = 0;
    }
    if (!finite && not_finite++ == 0) first_not_finite = place;
    // One number cannot vary.
    if (finite && !varies && elements > 1 && blank++ == 0) first_blank = place;
}

void check_damage(const DataSetInfo& info, Evidence& evidence, std::vector<DataFinding>& findings) {
    if (evidence.damage.empty()) {
        findings.push_back({Status::good, "damage", "every block has its checksum", ""});
        return;
    }
    findings.push_back(
        {Status::bad, "damage",
         fmt::format("{} blocks cannot be read; the first: {}", evidence.damage.size(),
                     evidence.damage.front()),
         fmt::format("trireme data verify {} lists them all; copy the files again, or import again",
                     info.folder.string())});
}

void check_class_balance(const DataSetInfo& info, Evidence& evidence, std::vector<DataFinding>& findings) {
    constexpr const char* check = "class balance";
    if (info.target_kind == target_float) {
        findings.push_back({Status::good, check, "targets are floats: there are no classes", ""});
        return;
    }
    const std::vector<std::int64_t>& train = evidence.class_samples.at("train");
    std::vector<std::string> absent;
    for (std::size_t c = 0; c < train.size(); ++c) {
        if (train[c] == 0) absent.push_back(class_name(info, c));
    }
    const std::size_t before = findings.size();
    if (!absent.empty()) {
        findings.push_back(
            {Status::warn, check, fmt::format("no training sample of {}", shortened(absent)),
             "add samples of it, or remove the class; with --split fractions, --stratified keeps "
             "small classes in every split"});
    }
    const auto most = std::max_element(train.begin(), train.end());
    const auto least = std::min_element(train.begin(), train.end(), [](std::int64_t a, std::int64_t b) {
        return (a == 0 ? INT64_MAX : a) < (b == 0 ? INT64_MAX : b);
    });
    if (*least > 0 && *most > uneven_ratio * *least) {
        findings.push_back(
            {Status::warn, check,
             fmt::format("{} has {} training samples and {} has {}",
                         class_name(info, static_cast<std::size_t>(most - train.begin())), *most,
                         class_name(info, static_cast<std::size_t>(least - train.begin())), *least),
             "look at the accuracy of each class, not at the mean alone; add samples of the rare ones, or "
             "take "
             "fewer of the common ones"});
    }
    if (findings.size() > before) return;
    findings.push_back(
        {Status::good, check, fmt::format("{} to {} training samples a class", *least, *most), ""});
}

void check_duplicates(const DataSetInfo& info, Evidence& evidence, std::vector<DataFinding>& findings) {
    std::sort(evidence.hashes.begin(), evidence.hashes.end());
    std::int64_t across = 0;
    std::int64_t within = 0;
    std::string across_example;
    std::string within_example;
    for (std::size_t i = 1; i < evidence.hashes.size(); ++i) {
        const Evidence::Hashed& a = evidence.hashes[i - 1];
        const Evidence::Hashed& b = evidence.hashes[i];
        if (a.hash != b.hash) continue;
        const bool same_split = a.place >> split_shift == b.place >> split_shift;
        std::string& example = same_split ? within_example : across_example;
        if ((same_split ? within : across)++ == 0)
            example = fmt::format("{} is {}", str(place_of(b.place)), str(place_of(a.place)));
    }
    if (across > 0) {
        findings.push_back(
            {Status::warn, "duplicates",
             fmt::format("{} samples are in more than one split, byte for byte ({})", across, across_example),
             "remove the copies at the source and import again: what is evaluated was trained on"});
    }
    if (within > 0) {
        findings.push_back(
            {Status::warn, "duplicates",
             fmt::format("{} samples are copies of others of their split ({})", within, within_example),
             "remove the copies at the source, unless they are meant to count more"});
    }
    if (across + within == 0) {
        findings.push_back(
            {Status::good, "duplicates",
             fmt::format("none among {} samples of {} splits", evidence.hashes.size(), info.splits.size()),
             ""});
    }
}

void check_inputs(const DataSetInfo& info, Evidence& evidence, std::vector<DataFinding>& findings) {
    constexpr const char* check = "inputs";
    const std::size_t before = findings.size();
    if (evidence.not_finite > 0) {
        findings.push_back(
            {Status::bad, check,
             fmt::format("{} samples have NaN or infinity in them; the first is {}", evidence.not_finite,
                         str(evidence.first_not_finite)),
             "mend or remove them at the source and import again: one of them makes the loss NaN"});
    }
    if (evidence.blank > 0) {
        findings.push_back({Status::warn, check,
                            fmt::format("{} samples have one value in all their elements; the first is {}",
                                        evidence.blank, str(evidence.first_blank)),
                            "look whether these samples were meant to be empty; remove them at the source"});
    }
    std::vector<std::string> constant;
    const char* kind = info.sample_shape.rank() == 1 ? "feature" : "channel";
    for (std::size_t i = 0; i < evidence.least.size(); ++i) {
        if (evidence.least[i] == evidence.most[i]) constant.push_back(fmt::format("{} {}", kind, i));
    }
    if (!constant.empty()) {
        findings.push_back({Status::warn, check,
                            fmt::format("{} of {} {}s never change in the train split: {}", constant.size(),
                                        evidence.least.size(), kind, shortened(constant)),
                            "leave them out at the source: nothing can be learned from them"});
    }
    if (findings.size() == before) findings.push_back({Status::good, check, "finite, and they vary", ""});
}

void check_tokens(const DataSetInfo& info, Evidence& evidence, std::vector<DataFinding>& findings) {
    const std::vector<std::int64_t>& train = evidence.class_samples.at("train");
    std::int64_t used = 0;
    std::int64_t unseen = 0;
    for (std::size_t token = 0; token < train.size(); ++token) {
        used += train[token] > 0 ? 1 : 0;
        for (const char* other : {"val", "test"})
            unseen += train[token] == 0 ? evidence.class_samples.at(other)[token] : 0;
    }
    const std::string what = fmt::format("{} of {} tokens come up in the train split", used, info.classes);
    if (unseen == 0) {
        findings.push_back({Status::good, "tokens", what, ""});
        return;
    }
    findings.push_back(
        {Status::warn, "tokens",
         fmt::format("{}; {} places of the other splits have tokens that it does not have", what, unseen),
         "cut the text elsewhere, or add such texts to the training part: nothing is learned of "
         "tokens that never come up"});
}

void check_blocks(const DataSetInfo& info, Evidence&, std::vector<DataFinding>& findings) {
    constexpr const char* check = "blocks";
    const std::size_t before = findings.size();
    const std::int64_t block_bytes = info.block_samples() * info.sample_bytes();
    if (block_bytes > large_block_bytes) {
        findings.push_back(
            {Status::warn, check,
             fmt::format("a block is one sample of {}", human_bytes(Bytes(info.sample_bytes()))),
             "a rank keeps some blocks of each virtual shard in memory: make samples smaller (--size), or "
             "lower "
             "parallel.virtual_shards"});
    }
    const auto blocks = static_cast<std::int64_t>(info.splits.at("train").blocks.size());
    if (blocks > 0 && blocks < few_blocks && info.shards > blocks) {
        findings.push_back(
            {Status::warn, check,
             fmt::format("the train split has {} blocks in {} files: some files have none of it", blocks,
                         info.shards),
             fmt::format("import with --shards {} or fewer", blocks)});
    }
    std::int64_t stored = 0;
    std::int64_t raw = 0;
    bool deflated = false;
    for (int shard = 0; shard < info.shards && blocks > 0; ++shard) {
        for (const StoredBlock& block : read_block_index(info.shard_path(shard), "train", info.fingerprint)) {
            stored += block.x_bytes;
            raw += block_bytes;
            deflated = deflated || block.x_deflated;
        }
    }
    const double saved =
        raw > 0 ? std::max(0.0, 1.0 - static_cast<double>(stored) / static_cast<double>(raw)) : 0.0;
    if (deflated && saved < useless_saving) {
        findings.push_back(
            {Status::warn, check,
             fmt::format("compression saves {:.1f} % of the space, and costs time at every read",
                         100 * saved),
             "import with --compress none"});
    }
    if (findings.size() > before) return;
    findings.push_back({Status::good, check,
                        fmt::format("{} of {} samples, {} each{}", blocks, info.block_samples(),
                                    human_bytes(Bytes(block_bytes)),
                                    deflated ? fmt::format("; compression saves {:.0f} %", 100 * saved) : ""),
                        ""});
}

}  // namespace trireme::io
