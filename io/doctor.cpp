#include "io/doctor.hpp"

#include <nlohmann/json.hpp>

#include "io/doctor_checks.hpp"
#include "io/pipeline/block_reader.hpp"
#include "io/shard_format.hpp"
#include "io/verify.hpp"
#include "runtime/core/digest.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

const char* name_of(DataFinding::Status status) {
    switch (status) {
        case DataFinding::Status::good:
            return "good";
        case DataFinding::Status::warn:
            return "warn";
        case DataFinding::Status::bad:
            return "bad";
    }
    return "?";
}

/// Reads all samples of a split into the evidence.
void examine_split(const DataSetInfo& info, const std::string& name, Evidence& evidence) {
    BlockReader reader(info, name);
    const auto x_bytes = static_cast<std::size_t>(info.sample_bytes());
    const auto y_bytes = static_cast<std::size_t>(info.target_bytes());
    std::vector<std::byte> x(static_cast<std::size_t>(info.block_samples()) * x_bytes);
    std::vector<std::byte> y(static_cast<std::size_t>(info.block_samples()) * y_bytes);
    std::vector<std::byte> scratch(static_cast<std::size_t>(BlockReader::scratch_bytes(info)));
    for (std::size_t b = 0; b < reader.blocks().size(); ++b) {
        const auto rows = static_cast<std::size_t>(reader.blocks()[b].samples);
        const auto block = static_cast<std::int64_t>(b);
        try {
            reader.read(block, std::span(x).first(rows * x_bytes), std::span(y).first(rows * y_bytes),
                        scratch);
        } catch (const DataError& error) {
            evidence.damage.emplace_back(error.what());
            continue;
        }
        if (info.is_stream()) {
            evidence.add_tokens(info, name, std::span(x).first(rows * x_bytes));
            continue;
        }
        count_targets(info, std::span(y).first(rows * y_bytes), evidence.class_samples[name]);
        for (std::size_t i = 0; i < rows; ++i) {
            const std::span<const std::byte> sample = std::span(x).subspan(i * x_bytes, x_bytes);
            const SamplePlace place{name, reader.first_sample(block) + static_cast<std::int64_t>(i)};
            evidence.add(info, place, sample);
        }
    }
}

}  // namespace

DataFinding::Status DoctorReport::worst() const {
    DataFinding::Status worst = DataFinding::Status::good;
    for (const DataFinding& finding : findings) worst = std::max(worst, finding.status);
    return worst;
}

std::string DoctorReport::json() const {
    nlohmann::ordered_json object{{"schema", 1}, {"worst", name_of(worst())}};
    object["findings"] = nlohmann::ordered_json::array();
    for (const DataFinding& finding : findings) {
        object["findings"].push_back({{"check", finding.check},
                                      {"status", name_of(finding.status)},
                                      {"what", finding.what},
                                      {"remedy", finding.remedy}});
    }
    return object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string DoctorReport::text() const {
    std::string lines;
    for (const DataFinding& finding : findings) {
        lines += fmt::format("{:<4}  {:<14}  {}\n", name_of(finding.status), finding.check, finding.what);
        if (!finding.remedy.empty()) lines += fmt::format("{:<22}remedy: {}\n", "", finding.remedy);
    }
    return lines;
}

DoctorReport examine_data_set(const std::filesystem::path& folder) {
    const DataSetInfo info = open_data_set(folder);
    Evidence evidence(info);
    for (const auto& [name, split] : info.splits) {
        if (split.samples > 0) examine_split(info, name, evidence);
    }
    DoctorReport report;
    const std::vector<Check> checks = info.is_stream()
                                          ? std::vector<Check>{check_damage, check_tokens, check_blocks}
                                          : std::vector<Check>{check_damage, check_class_balance,
                                                               check_duplicates, check_inputs, check_blocks};
    for (const Check check : checks) check(info, evidence, report.findings);
    return report;
}

}  // namespace trireme::io
