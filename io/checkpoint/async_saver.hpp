// Saving beside training. The caller is stopped for a copy in memory; a thread of this object then writes the
// part, syncs, commits, and marks DONE.
//
//      training   | step | copy | step | step | step | copy |            (next save while one is under way:
//      writer                   | hash, write, sync, rename, DONE |       the copy waits: back-pressure)
//
// What is copied here is whole replicated state, so one rank saves and the commit needs no word from others.
// The copy is taken from the host once, when the object is made, so that what was planned is what is used.
#pragma once

#include <condition_variable>
#include <exception>
#include <filesystem>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "io/checkpoint/checkpoint.hpp"
#include "runtime/core/deadline.hpp"
#include "runtime/core/host_memory.hpp"

namespace trireme::io {

/// One save. Both functions run on the writer's thread.
struct SaveRequest {
    std::filesystem::path dir;
    std::int64_t step = 0;
    /// Makes the meta from the copied slices: hashes of large models take as long as writing them.
    std::function<CheckpointMeta(std::span<const SavedSlice>)> meta;
    /// Called when the checkpoint is DONE: the place to let older ones go.
    std::function<void()> done;
};

class AsyncSaver {
  public:
    /// `capacity`: at least what all slices that will be saved together take, each `aligned`
    /// (core/alignment.hpp).
    explicit AsyncSaver(Bytes capacity);
    /// Waits for the save under way: on the way down a good state is worth more than a second. Its error is
    /// logged, because nobody is left to catch it.
    ~AsyncSaver();
    AsyncSaver(const AsyncSaver&) = delete;
    AsyncSaver& operator=(const AsyncSaver&) = delete;

    /// Waits until no save is under way, copies `slices` and returns; the slices may change from then on.
    /// Throws what `wait` throws.
    void start(SaveRequest request, std::span<const SavedSlice> slices, const Deadline& deadline);
    /// Waits until no save is under way. Throws the error of the last one, once, with its class; CommTimeout
    /// when the deadline passes.
    void wait(const Deadline& deadline);
    /// Throws the error of the last save when it has ended with one; never waits.
    void check();

  private:
    void copy(std::span<const SavedSlice> slices);
    void write(const SaveRequest& request);
    void write_and_report(const SaveRequest& request) noexcept;
    void raise();

    HostMemory memory_;
    Region region_;
    std::vector<SavedSlice> copied_;  ///< their data lie in region_
    std::mutex mutex_;
    std::condition_variable ended_;
    bool busy_ = false;         // guarded by mutex_, as is error_
    std::exception_ptr error_;  // of the last save
    std::int64_t step_ = -1;    // of the last save; the caller's thread alone
    std::filesystem::path dir_;
    std::thread writer_;
};

}  // namespace trireme::io
