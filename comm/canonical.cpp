#include "comm/canonical.hpp"

#include <algorithm>
#include <optional>

#include "runtime/core/error.hpp"

namespace trireme::comm {
namespace {

/// The sum of one node for my piece: where it is, or from whom it is still to come.
struct Operand {
    std::int64_t offset = -1;  ///< of the piece in my buffer
    int from = -1;             ///< rank that sends it; -1: it is at `offset`
    bool home = false;         ///< at slot 0, where the result goes
};

class Evaluation {
  public:
    Evaluation(const CanonicalLayout& layout, int index, std::int64_t segment)
        : layout_(layout), index_(index), segment_(segment), ranks_(static_cast<int>(layout.owned.size())) {
        for (const IndexRange& owned : layout.owned) held_.push_back(held_nodes(layout.present, owned));
        home_is_free_ = held_[static_cast<std::size_t>(index)].empty();
    }

    StepList steps() {
        if (ranks_ == 1 || layout_.range.empty()) return {};
        send_my_nodes();
        const IndexRange root{0, static_cast<std::int64_t>(layout_.present.size())};
        if (has_present(layout_.present, root)) {
            Operand result = evaluate(root);
            if (result.from >= 0) result = receive(result.from);
            ensure(result.home || piece(index_).empty(), "the result of the tree lies in slot 0");
        }
        share_result();
        return std::move(steps_);
    }
    [[nodiscard]] std::int64_t most_scratch() const { return most_temporaries_ * piece(index_).size(); }

  private:
    [[nodiscard]] IndexRange piece(int rank) const {
        const IndexRange part = even_piece(layout_.range.size(), ranks_, rank);
        return {layout_.range.begin + part.begin, layout_.range.begin + part.end};
    }
    [[nodiscard]] std::int64_t at_slot(std::size_t slot, IndexRange part) const {
        return part.begin + static_cast<std::int64_t>(slot) * layout_.stride;
    }

    /// One step a segment of a range of `count` elements at `offset`.
    void append(Verb verb, std::int64_t offset, std::int64_t count, int from, int to,
                std::int64_t source = 0) {
        for (const IndexRange& part : cut({0, count}, segment_)) {
            Step step{verb, offset + part.begin, part.size(), from, to};
            step.source = verb == Verb::add ? source + part.begin : 0;
            steps_.push_back(step);
        }
    }

    void send_my_nodes() {
        const std::size_t mine = held_[static_cast<std::size_t>(index_)].size();
        for (int ahead = 1; ahead < ranks_; ++ahead) {
            const int to = (index_ + ahead) % ranks_;
            for (std::size_t slot = 0; slot < mine; ++slot) {
                append(Verb::send, at_slot(slot, piece(to)), piece(to).size(), -1, to);
            }
        }
    }

    /// The tree below a node that has samples. A sum that others send is taken in the order in which they
    /// send it.
    Operand evaluate(IndexRange node) {
        if (const auto found = held_by_one(node)) return *found;
        const IndexRange left{node.begin, split_of(node)};
        const IndexRange right{split_of(node), node.end};
        if (!has_present(layout_.present, right)) return evaluate(left);
        if (!has_present(layout_.present, left)) return evaluate(right);
        Operand a = evaluate(left);
        // Only a sum of my own on the right needs no message: then what comes from the left can be added to
        // it at once.
        const auto own = held_by_one(right);
        if (a.from >= 0 && !(own && own->from < 0)) a = receive(a.from);
        return sum(a, evaluate(right));
    }

    [[nodiscard]] std::optional<Operand> held_by_one(IndexRange node) const {
        for (int rank = 0; rank < ranks_; ++rank) {
            const auto& nodes = held_[static_cast<std::size_t>(rank)];
            const auto found = std::find(nodes.begin(), nodes.end(), node);
            if (found == nodes.end()) continue;
            const auto slot = static_cast<std::size_t>(found - nodes.begin());
            if (rank != index_) return Operand{-1, rank, false};
            return Operand{at_slot(slot, piece(index_)), -1, slot == 0};
        }
        return std::nullopt;
    }

    Operand receive(int from) {
        Operand place;
        if (home_is_free_) {
            home_is_free_ = false;
            place = {at_slot(0, piece(index_)), -1, true};
        } else {
            place = {layout_.scratch + temporaries_ * piece(index_).size(), -1, false};
            most_temporaries_ = std::max(most_temporaries_, ++temporaries_);
        }
        append(Verb::recv, place.offset, piece(index_).size(), from, -1);
        return place;
    }

    /// The sum stays at the operand that lies at home, else at the left one. (a + b and b + a are the same
    /// bits.)
    Operand sum(const Operand& a, const Operand& b) {
        if (a.from >= 0) return sum(b, a);
        if (b.from >= 0) {
            append(Verb::recv_reduce, a.offset, piece(index_).size(), b.from, -1);
            return a;
        }
        if (b.home) return sum(b, a);
        append(Verb::add, a.offset, piece(index_).size(), -1, -1, b.offset);
        return a;
    }

    void share_result() {
        for (int ahead = 1; ahead < ranks_; ++ahead) {
            append(Verb::send, piece(index_).begin, piece(index_).size(), -1, (index_ + ahead) % ranks_);
        }
        for (int behind = 1; behind < ranks_; ++behind) {
            const int from = (index_ + ranks_ - behind) % ranks_;
            append(Verb::recv, piece(from).begin, piece(from).size(), from, -1);
        }
    }

    const CanonicalLayout& layout_;
    int index_;
    std::int64_t segment_;
    int ranks_;
    std::vector<std::vector<IndexRange>> held_;
    StepList steps_;
    bool home_is_free_ = false;
    std::int64_t temporaries_ = 0;
    std::int64_t most_temporaries_ = 0;
};

}  // namespace

std::int64_t canonical_scratch(const CanonicalLayout& layout, int index) {
    Evaluation evaluation(layout, index, std::max<std::int64_t>(layout.range.size(), 1));
    (void)evaluation.steps();
    return evaluation.most_scratch();
}

StepList canonical_all_reduce(const CanonicalLayout& layout, int index, std::int64_t segment) {
    ensure(index >= 0 && index < static_cast<int>(layout.owned.size()),
           "canonical: member 0 <= index < ranks");
    return Evaluation(layout, index, segment).steps();
}

}  // namespace trireme::comm
