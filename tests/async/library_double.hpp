// Stands in for a collective library of a device: sums of all ranks in rank order, each on its rank's stream,
// which run once all ranks have launched theirs.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "runtime/device/collective_library.hpp"
#include "tests/async/async_device.hpp"

namespace trireme::async {

/// Where the ranks of a world meet: what each has put in, by number of the sum.
struct LibraryMeeting {
    struct Sum {
        std::map<int, std::vector<float>> given;
    };
    std::mutex mutex;
    std::map<std::pair<std::string, std::int64_t>, Sum> sums;
    int ids = 0;
    bool forgetful = false;  ///< its sums are what rank 0 gave
};

class LibrarySumDouble final : public LibrarySum {
  public:
    LibrarySumDouble(std::shared_ptr<LibraryMeeting> meeting, std::string id, int rank, int ranks)
        : meeting_(std::move(meeting)), id_(std::move(id)), rank_(rank), ranks_(ranks) {}

    void all_reduce(Stream& stream, float* data, std::int64_t elements) override {
        const std::pair key{id_, number_++};
        const auto* bytes = reinterpret_cast<const std::byte*>(data);
        const std::int64_t size = elements * std::int64_t{sizeof(float)};
        queue_of(stream).launch("library's input", {{bytes, size, false}},
                                [meeting = meeting_, key, rank = rank_, data, elements] {
                                    const std::lock_guard lock(meeting->mutex);
                                    meeting->sums[key].given[rank].assign(data, data + elements);
                                });
        queue_of(stream).launch(
            "library's sum", {{bytes, size, true}},
            [meeting = meeting_, key, data, elements] {
                const std::lock_guard lock(meeting->mutex);
                std::fill_n(data, elements, 0.0F);
                for (const auto& [rank, given] : meeting->sums[key].given) {
                    if (rank > 0 && meeting->forgetful) continue;
                    for (std::size_t i = 0; i < given.size(); ++i)
                        data[i] = rank == 0 ? given[i] : data[i] + given[i];
                }
            },
            [meeting = meeting_, key, ranks = ranks_] {
                const std::lock_guard lock(meeting->mutex);
                return meeting->sums[key].given.size() == static_cast<std::size_t>(ranks);
            });
    }
    void give_up() noexcept override {}

  private:
    std::shared_ptr<LibraryMeeting> meeting_;
    std::string id_;
    int rank_;
    int ranks_;
    std::int64_t number_ = 0;
};

class LibraryDouble final : public CollectiveLibrary {
  public:
    explicit LibraryDouble(std::shared_ptr<LibraryMeeting> meeting) : meeting_(std::move(meeting)) {}
    [[nodiscard]] std::string name() override { return "library 1.0"; }
    [[nodiscard]] std::string refusal() override { return {}; }
    [[nodiscard]] std::string new_id() override {
        const std::lock_guard lock(meeting_->mutex);
        return std::to_string(meeting_->ids++);
    }
    [[nodiscard]] std::unique_ptr<LibrarySum> join(const std::string& id, int rank, int ranks) override {
        return std::make_unique<LibrarySumDouble>(meeting_, id, rank, ranks);
    }

  private:
    std::shared_ptr<LibraryMeeting> meeting_;
};

}  // namespace trireme::async
