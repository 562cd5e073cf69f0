#include "comm/mpi_transport.hpp"

#include <array>
#include <chrono>
#include <list>
#include <thread>

#include <dlfcn.h>
#include <fmt/format.h>
#include <mpi.h>

#include "comm/communicator.hpp"
#include "comm/request_table.hpp"
#include "comm/tag.hpp"

namespace trireme::comm {
namespace {

std::string error_text(int code, std::string_view what) {
    std::array<char, MPI_MAX_ERROR_STRING> text{};
    int length = 0;
    MPI_Error_string(code, text.data(), &length);
    return fmt::format("{}: {}", what, std::string_view(text.data(), static_cast<std::size_t>(length)));
}

void check(int code, std::string_view call) {
    if (code != MPI_SUCCESS) throw PeerLost(error_text(code, call));
}

/// For calls that concern one peer: a failure of the library there means that the peer cannot be reached.
void check_peer(int code, std::string_view what, int peer) {
    if (code != MPI_SUCCESS)
        throw PeerFailure::dead(peer, error_text(code, fmt::format("{} rank {}", what, peer)));
}

struct MpiRequest {
    MPI_Request handle = MPI_REQUEST_NULL;
    bool receive = false;
    int peer = -1;
    std::size_t size = 0;
};

class MpiTransport final : public Transport {
  public:
    void open() override {
        int provided = MPI_THREAD_SINGLE;
        check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
        if (provided < MPI_THREAD_FUNNELED) {
            throw DeviceError("this MPI library has no thread support: build it with MPI_THREAD_FUNNELED");
        }
        check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
        check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
        check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
        void* bound = nullptr;
        int found = 0;
        check(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, static_cast<void*>(&bound), &found),
              "MPI_TAG_UB");
        if (found == 0 || *static_cast<int*>(bound) < Tag::largest) {
            throw DeviceError(
                fmt::format("MPI_TAG_UB is {}, and at least {} is needed: choose another "
                            "transport of the MPI library",
                            found == 0 ? 0 : *static_cast<int*>(bound), Tag::largest));
        }
    }

    void close() override {
        for (ControlSend& send : control_sends_) {
            check(MPI_Wait(&send.handle, MPI_STATUS_IGNORE), "MPI_Wait");
        }
        control_sends_.clear();
        check(MPI_Finalize(), "MPI_Finalize");
    }

    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return size_; }
    [[nodiscard]] bool carries_device_memory() const override {
        // Open MPI and MPICH answer under one name, which their headers declare in different places or not at
        // all; so it is looked up.
        using Query = int (*)();
        const auto query = reinterpret_cast<Query>(::dlsym(RTLD_DEFAULT, "MPIX_Query_cuda_support"));
        return query != nullptr && query() == 1;
    }

    [[nodiscard]] RequestId post_send(int peer, int tag, std::span<const std::byte> data) override {
        const RequestId id = requests_.take();
        MpiRequest& request = *requests_.find(id);
        request = {MPI_REQUEST_NULL, false, peer, data.size()};
        check_peer(MPI_Isend(data.data(), count_of(data.size()), MPI_BYTE, peer, tag, MPI_COMM_WORLD,
                             &request.handle),
                   "sending to", peer);
        return id;
    }

    [[nodiscard]] RequestId post_recv(int peer, int tag, std::span<std::byte> data) override {
        const RequestId id = requests_.take();
        MpiRequest& request = *requests_.find(id);
        request = {MPI_REQUEST_NULL, true, peer, data.size()};
        check_peer(MPI_Irecv(data.data(), count_of(data.size()), MPI_BYTE, peer, tag, MPI_COMM_WORLD,
                             &request.handle),
                   "receiving from", peer);
        return id;
    }

    [[nodiscard]] bool test(RequestId id) override {
        MpiRequest* request = requests_.find(id);
        ensure(request != nullptr, "a request is tested until it is done, not longer");
        int done = 0;
        MPI_Status status;
        const int code = MPI_Test(&request->handle, &done, &status);
        if (code == MPI_SUCCESS && done == 0) return false;
        const MpiRequest ended = *request;
        requests_.give_back(id);
        int error_class = MPI_SUCCESS;
        if (code != MPI_SUCCESS) MPI_Error_class(code, &error_class);
        if (error_class == MPI_ERR_TRUNCATE) {
            throw PeerFailure::mismatch(
                ended.peer, fmt::format("rank {} sent more than the {} bytes that rank {} expected",
                                        ended.peer, ended.size, rank_));
        }
        check_peer(code, ended.receive ? "receiving from" : "sending to", ended.peer);
        if (ended.receive) check_size(ended, status);
        return true;
    }

    void cancel(RequestId id) override {
        MpiRequest* request = requests_.find(id);
        if (request == nullptr) return;
        if (request->receive) MPI_Cancel(&request->handle);
        // A receive that is already matched cannot be cancelled: it is given a moment to complete, because
        // its buffer may be released next. A peer that does not go on cannot be waited for.
        const Deadline deadline = Deadline::in_seconds(request->receive ? cancel_patience : 0.0);
        int done = 0;
        do {
            if (MPI_Test(&request->handle, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) break;
        } while (done == 0 && !deadline.expired());
        requests_.give_back(id);
    }

    void send_control(int peer, std::string_view text) override {
        ensure(text.size() <= max_control_bytes, "a control message is short");
        control_sends_.push_back({std::string(text), MPI_REQUEST_NULL});
        ControlSend& send = control_sends_.back();
        check_peer(MPI_Isend(send.text.data(), count_of(send.text.size()), MPI_BYTE, peer, Tag::control,
                             MPI_COMM_WORLD, &send.handle),
                   "telling", peer);
    }

    [[nodiscard]] std::optional<ControlMessage> poll_control() override {
        control_sends_.remove_if([](ControlSend& send) {
            int done = 0;
            return MPI_Test(&send.handle, &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && done != 0;
        });
        if (!control_receiving_ && !match_control()) return std::nullopt;
        int done = 0;
        check(MPI_Test(&control_handle_, &done, MPI_STATUS_IGNORE), "MPI_Test");
        if (done == 0) return std::nullopt;
        control_receiving_ = false;
        return std::move(control_);
    }

    [[nodiscard]] std::optional<int> lost_peer() const override { return std::nullopt; }
    [[nodiscard]] std::optional<int> aborted() const override { return std::nullopt; }
    void abort(int exit_code) override { MPI_Abort(MPI_COMM_WORLD, exit_code); }

  private:
    static constexpr double cancel_patience = 0.02;
    struct ControlSend {
        std::string text;
        MPI_Request handle;
    };

    static int count_of(std::size_t bytes) {
        ensure(bytes <= static_cast<std::size_t>(max_message_bytes), "an MPI message is below 2^31 bytes");
        return static_cast<int>(bytes);
    }

    void check_size(const MpiRequest& request, const MPI_Status& status) const {
        int arrived = 0;
        check(MPI_Get_count(&status, MPI_BYTE, &arrived), "MPI_Get_count");
        if (static_cast<std::size_t>(arrived) != request.size) {
            throw PeerFailure::mismatch(
                request.peer, fmt::format("rank {} sent {} bytes where rank {} expected {}", request.peer,
                                          arrived, rank_, request.size));
        }
    }

    bool match_control() {
        int found = 0;
        MPI_Message message = MPI_MESSAGE_NULL;
        MPI_Status status;
        check(MPI_Improbe(MPI_ANY_SOURCE, Tag::control, MPI_COMM_WORLD, &found, &message, &status),
              "MPI_Improbe");
        if (found == 0) return false;
        int count = 0;
        check(MPI_Get_count(&status, MPI_BYTE, &count), "MPI_Get_count");
        control_.from = status.MPI_SOURCE;
        control_.text.resize(static_cast<std::size_t>(count));
        check(MPI_Imrecv(control_.text.data(), count, MPI_BYTE, &message, &control_handle_), "MPI_Imrecv");
        control_receiving_ = true;
        return true;
    }

    int rank_ = 0;
    int size_ = 1;
    RequestTable<MpiRequest> requests_;
    std::list<ControlSend> control_sends_;  ///< stable addresses: MPI reads the texts
    ControlMessage control_;
    MPI_Request control_handle_ = MPI_REQUEST_NULL;
    bool control_receiving_ = false;
};

}  // namespace

std::unique_ptr<Transport> mpi_transport() { return std::make_unique<MpiTransport>(); }

std::string mpi_library_version() {
    std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
    int length = 0;
    MPI_Get_library_version(text.data(), &length);
    std::string version(text.data(), static_cast<std::size_t>(length));
    while (!version.empty() && (version.back() == '\n' || version.back() == '\0')) version.pop_back();
    return version;
}

}  // namespace trireme::comm
