// Threads as the members of an import.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "io/import/import.hpp"

namespace trireme::test {

class Meeting {
  public:
    explicit Meeting(int ranks) : texts_(static_cast<std::size_t>(ranks)), waiting_for_(ranks) {}
    std::vector<std::string> gather(int rank, std::string text) {
        std::unique_lock lock(mutex_);
        texts_[static_cast<std::size_t>(rank)] = std::move(text);
        const int round = round_;
        if (--waiting_for_ == 0) {
            said_ = texts_;
            waiting_for_ = static_cast<int>(texts_.size());
            ++round_;
            all_here_.notify_all();
        } else {
            all_here_.wait(lock, [&] { return round_ != round; });
        }
        return said_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable all_here_;
    std::vector<std::string> texts_;
    std::vector<std::string> said_;
    int waiting_for_;
    int round_ = 0;
};

/// Imports with `ranks` threads; returns what each of them threw ("" for none).
inline std::vector<std::string> import_with(int ranks, const io::ImportSource& source,
                                            const io::ImportPlan& plan, const std::filesystem::path& out) {
    Meeting meeting(ranks);
    std::vector<std::string> errors(static_cast<std::size_t>(ranks));
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
        threads.emplace_back([&, rank] {
            const io::ImportTeam team{
                rank, ranks, [&, rank](std::string text) { return meeting.gather(rank, std::move(text)); }};
            try {
                static_cast<void>(io::write_import(source, plan, out, team));
            } catch (const std::exception& error) {
                errors[static_cast<std::size_t>(rank)] = error.what();
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    return errors;
}

}  // namespace trireme::test
