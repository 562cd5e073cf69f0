#include "comm/step_list.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "runtime/core/error.hpp"

namespace trireme::comm {

std::string_view name_of(Verb v) {
    switch (v) {
        case Verb::send:
            return "send";
        case Verb::recv_reduce:
            return "recv_reduce";
        case Verb::recv_reduce_send:
            return "recv_reduce_send";
        case Verb::recv_reduce_copy_send:
            return "recv_reduce_copy_send";
        case Verb::recv_copy_send:
            return "recv_copy_send";
        case Verb::recv:
            return "recv";
        case Verb::add:
            return "add";
    }
    return "?";
}

Elements sent_by(const StepList& steps) {
    Elements sum;
    for (const Step& s : steps) {
        if (sends(s.verb)) sum += Elements(s.count);
    }
    return sum;
}

Elements received_by(const StepList& steps) {
    Elements sum;
    for (const Step& s : steps) {
        if (receives(s.verb)) sum += Elements(s.count);
    }
    return sum;
}

std::string str(const Step& step) {
    std::string text = fmt::format("{} [{}, {})", name_of(step.verb), step.offset, step.offset + step.count);
    if (receives(step.verb)) text += fmt::format(" from {}", step.from);
    if (sends(step.verb)) text += fmt::format(" to {}", step.to);
    return text;
}

std::string str(const StepList& steps) {
    std::string text;
    for (const Step& s : steps) text += str(s) + '\n';
    return text;
}

std::int64_t segments_of(std::int64_t count, std::int64_t segment) {
    ensure(segment >= 1, "a segment has at least one element");
    const std::int64_t needed = (count + segment - 1) / segment;
    return count > std::max<std::int64_t>(1, segment / 4) ? std::max<std::int64_t>(2, needed) : needed;
}

IndexRange segment_of(IndexRange chunk, std::int64_t parts, std::int64_t index) {
    const IndexRange piece = even_piece(chunk.size(), parts, index);
    return {chunk.begin + piece.begin, chunk.begin + piece.end};
}

std::vector<IndexRange> cut(IndexRange range, std::int64_t segment) {
    const std::int64_t parts = segments_of(range.size(), segment);
    std::vector<IndexRange> pieces;
    pieces.reserve(static_cast<std::size_t>(parts));
    for (std::int64_t i = 0; i < parts; ++i) pieces.push_back(segment_of(range, parts, i));
    return pieces;
}

void append_exchange(StepList& steps, IndexRange out, int to, IndexRange in, int from, Verb verb,
                     std::int64_t segment) {
    const std::vector<IndexRange> outgoing = cut(out, segment);
    const std::vector<IndexRange> incoming = cut(in, segment);
    std::size_t sent = 0;
    const auto send_until = [&](std::size_t end) {
        for (; sent < std::min(end, outgoing.size()); ++sent) {
            steps.push_back({Verb::send, outgoing[sent].begin, outgoing[sent].size(), -1, to});
        }
    };
    for (std::size_t i = 0; i < incoming.size(); ++i) {
        send_until(i + stream_depth);
        steps.push_back({verb, incoming[i].begin, incoming[i].size(), from, -1});
    }
    send_until(outgoing.size());
}

}  // namespace trireme::comm
