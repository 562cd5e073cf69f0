#include "runtime/telemetry/trace_writer.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace trireme {
namespace {

constexpr std::array<const char*, 3> track_names{"compute", "comm", "data"};

double microseconds(TraceSink::Clock::duration span) {
    return std::chrono::duration<double, std::micro>(span).count();
}

nlohmann::json metadata(const char* what, int rank, int track, const nlohmann::json& arguments) {
    return {{"ph", "M"}, {"name", what}, {"pid", rank}, {"tid", track}, {"args", arguments}};
}

}  // namespace

void TraceWriter::record(bool on) {
    std::lock_guard lock(mutex_);
    recording_ = on;
}

void TraceWriter::span(Track track, std::string_view name, Clock::time_point begin, Clock::time_point end,
                       std::string_view detail) {
    std::lock_guard lock(mutex_);
    if (recording_) events_.push_back({track, std::string(name), std::string(detail), begin, end});
}

std::string TraceWriter::events() const {
    std::lock_guard lock(mutex_);
    std::string text = metadata("process_name", rank_, 0, {{"name", fmt::format("rank {}", rank_)}}).dump();
    const nlohmann::json label{{"labels", fmt::format("clock within {:.0f} us", microseconds(zero_error_))}};
    text += ",\n" + metadata("process_labels", rank_, 0, label).dump();
    text += ",\n" + metadata("process_sort_index", rank_, 0, {{"sort_index", rank_}}).dump();
    for (std::size_t t = 0; t < track_names.size(); ++t) {
        text +=
            ",\n" + metadata("thread_name", rank_, static_cast<int>(t), {{"name", track_names[t]}}).dump();
    }
    for (const Event& event : events_) {
        nlohmann::json line{{"ph", "X"},
                            {"pid", rank_},
                            {"tid", static_cast<int>(event.track)},
                            {"name", event.name},
                            {"ts", microseconds(event.begin - zero_)},
                            {"dur", microseconds(event.end - event.begin)}};
        if (!event.detail.empty()) line["args"] = {{"detail", event.detail}};
        text += ",\n" + line.dump();
    }
    return text;
}

std::string TraceWriter::document(const std::vector<std::string>& events_by_rank) {
    std::string text = "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n";
    for (std::size_t r = 0; r < events_by_rank.size(); ++r) text += (r == 0 ? "" : ",\n") + events_by_rank[r];
    return text + "\n]}\n";
}

}  // namespace trireme
