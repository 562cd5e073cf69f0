#include "comm/control.hpp"

#include <nlohmann/json.hpp>

#include "comm/transport.hpp"

namespace trireme::comm {
namespace {

using nlohmann::json;

constexpr std::size_t longest_reason = 1200;
constexpr std::size_t longest_name = 160;
constexpr std::size_t most_peers = 64;

/// At most `limit` bytes, without the control characters that JSON would blow up sixfold.
std::string shortened(const std::string& text, std::size_t limit) {
    std::string short_text = text.size() <= limit ? text : text.substr(0, limit - 3) + "...";
    for (char& c : short_text) {
        if (static_cast<unsigned char>(c) < 0x20) c = ' ';
    }
    return short_text;
}

json to_json(const Verdict& v) {
    return {{"class", static_cast<int>(v.error_class)},
            {"kind", shortened(v.kind, longest_name)},
            {"rank", v.rank},
            {"host", shortened(v.host, longest_name)},
            {"phase", shortened(v.phase, longest_name)},
            {"instruction", shortened(v.instruction, longest_name)},
            {"reason", shortened(v.reason, longest_reason)}};
}

Verdict verdict_from(const json& j) {
    Verdict v;
    const int cls = j.at("class").get<int>();
    if (cls >= 0 && cls <= static_cast<int>(ErrorClass::internal))
        v.error_class = static_cast<ErrorClass>(cls);
    v.kind = j.at("kind").get<std::string>();
    v.rank = j.at("rank").get<int>();
    v.host = j.at("host").get<std::string>();
    v.phase = j.at("phase").get<std::string>();
    v.instruction = j.at("instruction").get<std::string>();
    v.reason = j.at("reason").get<std::string>();
    return v;
}

json to_json(const RankReport& r) {
    std::vector<int> peers = r.waits_for;
    if (peers.size() > most_peers) peers.resize(most_peers);
    return {{"host", shortened(r.host, longest_name)},
            {"phase", shortened(r.phase, longest_name)},
            {"instruction", shortened(r.instruction, longest_name)},
            {"changes", r.changes},
            {"entered", r.entered},
            {"waiting", r.waiting},
            {"sequence", r.sequence},
            {"collective", shortened(r.collective, longest_name)},
            {"steps", r.steps},
            {"waits_for", peers},
            {"asked", shortened(r.asked, longest_name)}};
}

RankReport report_from(const json& j) {
    RankReport r;
    r.answered = true;
    r.host = j.at("host").get<std::string>();
    r.phase = j.at("phase").get<std::string>();
    r.instruction = j.at("instruction").get<std::string>();
    r.changes = j.at("changes").get<std::uint64_t>();
    r.entered = j.at("entered").get<std::uint64_t>();
    r.waiting = j.at("waiting").get<bool>();
    r.sequence = j.at("sequence").get<std::uint64_t>();
    r.collective = j.at("collective").get<std::string>();
    r.steps = j.at("steps").get<std::int64_t>();
    r.waits_for = j.at("waits_for").get<std::vector<int>>();
    r.asked = j.at("asked").get<std::string>();
    return r;
}

}  // namespace

std::string encode(const Control& control) {
    json j{{"kind", static_cast<int>(control.kind)}, {"number", control.number}, {"round", control.round}};
    const bool has_verdict = control.kind == ControlKind::announce || control.kind == ControlKind::settled;
    if (has_verdict) j["verdict"] = to_json(control.verdict);
    if (control.kind == ControlKind::report) j["report"] = to_json(control.report);
    std::string text = j.dump(-1, ' ', false, json::error_handler_t::replace);
    if (text.size() > max_control_bytes && has_verdict) {
        // A reason full of characters that JSON escapes; its head is what matters.
        j["verdict"]["reason"] = shortened(control.verdict.reason, longest_reason / 8);
        text = j.dump(-1, ' ', false, json::error_handler_t::replace);
    }
    return text;
}

std::optional<Control> decode(std::string_view text) {
    try {
        const json j = json::parse(text);
        Control control;
        const int kind = j.at("kind").get<int>();
        if (kind < 0 || kind > static_cast<int>(ControlKind::report)) return std::nullopt;
        control.kind = static_cast<ControlKind>(kind);
        control.number = j.at("number").get<std::uint64_t>();
        control.round = j.at("round").get<int>();
        if (j.contains("verdict")) control.verdict = verdict_from(j.at("verdict"));
        if (j.contains("report")) control.report = report_from(j.at("report"));
        return control;
    } catch (const json::exception&) {
        return std::nullopt;
    }
}

}  // namespace trireme::comm
