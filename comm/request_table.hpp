// Requests of a transport by id. An id holds a generation, so that one which was completed or cancelled is
// recognised and never taken for a later request in the same place. Addresses of requests are stable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "comm/transport.hpp"

namespace trireme::comm {

template <class Request>
class RequestTable {
  public:
    /// A place whose request is in the state that the last user left it in.
    [[nodiscard]] RequestId take() {
        if (free_.empty()) {
            free_.push_back(rows_.size());
            rows_.emplace_back();
        }
        const std::size_t row = free_.back();
        free_.pop_back();
        rows_[row].used = true;
        return (rows_[row].generation << index_bits) | static_cast<RequestId>(row);
    }
    /// The request, or nullptr when the id is no longer in use.
    [[nodiscard]] Request* find(RequestId id) {
        const auto row = static_cast<std::size_t>(id & ((RequestId{1} << index_bits) - 1));
        if (row >= rows_.size() || !rows_[row].used || rows_[row].generation != id >> index_bits)
            return nullptr;
        return &rows_[row].request;
    }
    void give_back(RequestId id) {
        const auto row = static_cast<std::size_t>(id & ((RequestId{1} << index_bits) - 1));
        rows_[row].used = false;
        ++rows_[row].generation;
        free_.push_back(row);
    }
    template <class Visit>
    void for_each(Visit visit) {
        for (Row& row : rows_) {
            if (row.used) visit(row.request);
        }
    }

  private:
    static constexpr int index_bits = 24;
    struct Row {
        Request request{};
        RequestId generation = 0;
        bool used = false;
    };
    std::deque<Row> rows_;
    std::vector<std::size_t> free_;
};

}  // namespace trireme::comm
