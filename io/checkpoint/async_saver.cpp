#include "io/checkpoint/async_saver.hpp"

#include <cstring>

#include "io/checkpoint/index.hpp"
#include "runtime/core/alignment.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/log.hpp"

namespace trireme::io {
namespace {

std::int64_t room_for(const SavedSlice& slice) {
    return aligned(Bytes(static_cast<std::int64_t>(slice.data.size()))).value;
}

}  // namespace

AsyncSaver::AsyncSaver(Bytes capacity) : region_(memory_, capacity) {}

AsyncSaver::~AsyncSaver() {
    if (writer_.joinable()) writer_.join();
    if (!error_) return;
    try {
        std::rethrow_exception(error_);
    } catch (const std::exception& error) {
        log::warn("the checkpoint of step {} was not saved: {}", step_, error.what());
    }
}

void AsyncSaver::start(SaveRequest request, std::span<const SavedSlice> slices, const Deadline& deadline) {
    wait(deadline);
    copy(slices);
    step_ = request.step;
    dir_ = request.dir;
    busy_ = true;  // no other thread is there to see it
    writer_ = std::thread([this, request = std::move(request)] { write_and_report(request); });
}

void AsyncSaver::wait(const Deadline& deadline) {
    if (!writer_.joinable()) return;
    {
        std::unique_lock lock(mutex_);
        if (!ended_.wait_until(lock, deadline.time(), [&] { return !busy_; })) {
            throw CommTimeout(
                fmt::format("{}: the checkpoint of step {} is still being written at the deadline "
                            "(deadline.checkpoint): the file system is slow or does not answer",
                            dir_.string(), step_));
        }
    }
    writer_.join();
    raise();
}

void AsyncSaver::check() {
    if (!writer_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        if (busy_) return;
    }
    writer_.join();
    raise();
}

/// Called without a writer.
void AsyncSaver::raise() {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void AsyncSaver::copy(std::span<const SavedSlice> slices) {
    copied_.clear();
    std::int64_t at = 0;
    for (const SavedSlice& slice : slices) {
        ensure(at + room_for(slice) <= region_.size().value,
               "the planned copy of a checkpoint holds its slices");
        std::byte* to = region_.data() + at;
        if (!slice.data.empty()) std::memcpy(to, slice.data.data(), slice.data.size());
        copied_.push_back({slice.spec, {to, slice.data.size()}});
        at += room_for(slice);
    }
}

void AsyncSaver::write(const SaveRequest& request) {
    try {
        write_part(request.dir, request.step, 0, copied_);
        commit(request.dir, request.step, 1, request.meta(copied_));
    } catch (...) {
        // On a full disk the half-written part would take the room that the user is about to free.
        std::error_code ignored;
        std::filesystem::remove_all(temporary_step_folder(request.dir, request.step), ignored);
        throw;
    }
    if (request.done) request.done();
}

void AsyncSaver::write_and_report(const SaveRequest& request) noexcept {
    std::exception_ptr error;
    try {
        write(request);
    } catch (...) {
        error = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    error_ = error;
    busy_ = false;
    ended_.notify_all();
}

}  // namespace trireme::io
