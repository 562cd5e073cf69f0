#include "runtime/exec/library_join.hpp"

#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "runtime/core/error.hpp"

namespace trireme {
namespace {

/// What rank 0 makes. Where it fails all ranks know, and none goes on to join.
std::string common_id(CollectiveLibrary& library, comm::Communicator& comm, const Deadline& deadline) {
    std::string mine;
    std::string failure;
    if (comm.rank() == 0) {
        try {
            mine = library.new_id();
        } catch (const DeviceError& error) {
            failure = error.what();
        }
    }
    std::string id = comm.all_gather(mine, "id of the library's ranks", deadline).front();
    if (id.empty()) throw DeviceError(failure.empty() ? "rank 0 has no id to join with" : failure);
    return id;
}

}  // namespace

std::unique_ptr<LibrarySum> join_library(std::shared_ptr<CollectiveLibrary> library, comm::Communicator& comm,
                                         double patience, const Deadline& deadline) {
    const std::string id = common_id(*library, comm, deadline);
    std::packaged_task<std::unique_ptr<LibrarySum>()> task(
        [library = std::move(library), id, rank = comm.rank(), ranks = comm.size()] {
            return library->join(id, rank, ranks);
        });
    auto joined = task.get_future();
    const auto over = std::make_shared<std::atomic<bool>>(false);
    std::thread waits([task = std::move(task), over]() mutable {
        task();
        *over = true;
    });
    try {
        // A rank has come whether joining succeeded, failed or takes too long: what it was is told below.
        const auto has_come = [over, until = Deadline::in_seconds(patience)] {
            return over->load() || until.expired();
        };
        comm.wait(comm.arrive("joining the library of the devices", has_come), deadline);
    } catch (...) {
        waits.detach();
        throw;
    }
    if (!over->load()) {
        waits.detach();
        throw DeviceError(fmt::format(
            "the library did not join the ranks within {:g} s: it may not find a network between them",
            patience));
    }
    waits.join();
    return joined.get();
}

}  // namespace trireme
