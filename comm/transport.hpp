// How bytes get from rank to rank. A transport is owned by one thread: open, every later call and close come
// from the thread that opened it (the progress thread, or the caller itself in inline mode).
//
// Data messages between two ranks with the same tag arrive in the order they were posted. A message fits its
// receive exactly; another size throws SizeMismatch at the receiver. A send completes once its buffer may be
// reused, and no caller may count on that before the receiver has posted its receive (rendezvous).
//
// Control messages are a channel of their own: short texts (at most `max_control_bytes`) that never wait for
// the receiver and need no posted receive, so that ranks can ask each other what they wait for while data is
// stuck.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/core/error.hpp"

namespace trireme::comm {

/// Names a posted send or receive until `test` says that it is done, or it is cancelled.
using RequestId = std::int64_t;

/// Most bytes of one data message: MPI counts are ints.
inline constexpr std::int64_t max_message_bytes = (std::int64_t{1} << 31) - 1;
/// Most bytes of one control message; below the eager limit of every transport in use.
inline constexpr std::size_t max_control_bytes = 3500;

struct ControlMessage {
    int from = -1;
    std::string text;
};

/// What a transport knows to be wrong with a peer: "MISMATCH" (CommTimeout) where a message had another size
/// than its receive, so that two ranks disagree about a collective; "DEAD" (PeerLost) where it is gone.
class PeerFailure : public Error {
  public:
    static PeerFailure mismatch(int peer, const std::string& what) {
        return {ErrorClass::comm_timeout, "MISMATCH", peer, what};
    }
    static PeerFailure dead(int peer, const std::string& what) {
        return {ErrorClass::peer_lost, "DEAD", peer, what};
    }
    [[nodiscard]] const std::string& kind() const { return kind_; }
    [[nodiscard]] int peer() const { return peer_; }

  private:
    PeerFailure(ErrorClass cls, std::string kind, int peer, const std::string& what)
        : Error(cls, what), kind_(std::move(kind)), peer_(peer) {}
    std::string kind_;
    int peer_;
};

/// The data messages alone: what collectives are played over.
class Messages {
  public:
    virtual ~Messages() = default;
    /// `data` must stay as it is until the request is done. Its size is at most `max_message_bytes`.
    [[nodiscard]] virtual RequestId post_send(int peer, int tag, std::span<const std::byte> data) = 0;
    [[nodiscard]] virtual RequestId post_recv(int peer, int tag, std::span<std::byte> data) = 0;
    /// True when the request is complete; its id is then free. Throws PeerFailure.
    [[nodiscard]] virtual bool test(RequestId request) = 0;
    /// Gives a request up; afterwards its memory is not touched any more, as far as the transport can.
    virtual void cancel(RequestId request) = 0;
};

class Transport : public Messages {
  public:
    /// Joins the world. Throws DeviceError when the message layer is unfit.
    virtual void open() = 0;
    /// Orderly end; all ranks call it, with nothing left in flight.
    virtual void close() = 0;

    /// Valid after open.
    [[nodiscard]] virtual int rank() const = 0;
    [[nodiscard]] virtual int size() const = 0;
    /// True where data messages may lie in memory of a device; valid after open.
    [[nodiscard]] virtual bool carries_device_memory() const { return false; }

    virtual void send_control(int peer, std::string_view text) = 0;
    [[nodiscard]] virtual std::optional<ControlMessage> poll_control() = 0;

    /// A rank that the transport knows to be gone without an orderly end.
    [[nodiscard]] virtual std::optional<int> lost_peer() const = 0;
    /// The exit code with which the world was aborted, where a rank can outlive that (threads as ranks).
    [[nodiscard]] virtual std::optional<int> aborted() const = 0;
    /// Ends the whole world. Over MPI it does not return.
    virtual void abort(int exit_code) = 0;
};

}  // namespace trireme::comm
