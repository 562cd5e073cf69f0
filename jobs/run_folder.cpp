#include "jobs/run_folder.hpp"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

[[noreturn]] void cannot_write(const std::filesystem::path& path) {
    throw DataError(fmt::format("{}: cannot be written: {}; free space, or choose another job.output",
                                path.string(), std::strerror(errno)));
}

void replace_file(const std::filesystem::path& path, std::string_view text) {
    const std::filesystem::path temporary = path.string() + ".tmp";
    std::ofstream stream(temporary, std::ios::binary | std::ios::trunc);
    stream << text;
    stream.close();
    if (!stream) cannot_write(temporary);
    std::error_code error;
    std::filesystem::rename(temporary, path, error);
    if (error) throw DataError(fmt::format("{}: cannot be replaced: {}", path.string(), error.message()));
}

}  // namespace

RunFolder::RunFolder(std::filesystem::path path) : path_(std::move(path)) {
    std::error_code error;
    std::filesystem::create_directories(path_ / "checkpoints", error);
    if (error)
        throw DataError(
            fmt::format("{}: the run folder cannot be made: {}", path_.string(), error.message()));
}

void RunFolder::write(const std::string& name, std::string_view text) const {
    replace_file(path_ / name, text);
}

void RunFolder::add_metrics(const std::string& line) {
    if (!metrics_.is_open()) metrics_.open(path_ / "metrics.jsonl", std::ios::app);
    metrics_ << line << '\n' << std::flush;
    if (!metrics_) cannot_write(path_ / "metrics.jsonl");
}

void RunFolder::clear_verdict() const {
    std::error_code ignored;
    std::filesystem::remove(path_ / "verdict.json", ignored);
}

void write_verdict(const std::filesystem::path& folder, const comm::Verdict& verdict) noexcept {
    try {
        if (!std::filesystem::is_directory(folder)) return;
        const nlohmann::json json{{"schema", 1},
                                  {"class", name_of(verdict.error_class)},
                                  {"kind", verdict.kind},
                                  {"rank", verdict.rank},
                                  {"host", verdict.host},
                                  {"phase", verdict.phase},
                                  {"instruction", verdict.instruction},
                                  {"reason", verdict.reason}};
        replace_file(folder / "verdict.json", json.dump(2) + '\n');
    } catch (const std::exception& error) {
        fmt::print(stderr, "trireme: verdict.json could not be written: {}\n", error.what());
    }
}

}  // namespace trireme::jobs
