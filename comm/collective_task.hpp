// Plays one rank's step list over a transport, as a machine that is advanced until it is done.
//
// Receives are posted ahead, strictly in list order (messages between two ranks match in that order), at most
// `stream_depth` of them. What cannot land in the buffer at once - because it is to be added, or because an
// unfinished send still reads that range - is received into a staging slot:
//
//     slots of a task:   [ posted or waiting receives: stream_depth ] [ sums on their way out: stream_depth ]
//
// Steps are executed strictly in list order, so a sum is always formed in the same order and its bits do not
// depend on when messages arrive. A step that writes a range waits for the sends that still read it.
//
// What a step adds or copies may run behind the host (MemoryOps): it is *work* until its mark has passed.
// Work is done in order, so steps go on behind it; only what a message touches waits for it. After a task's
// first use its vectors keep their capacity: a running job allocates nothing a step.
//
// Where the buffer is staged (staged_buffer.hpp) a step, and a message that lands in the buffer, also waits
// for what it touches to arrive. Messages that go to a slot do not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "comm/group.hpp"
#include "comm/staged_buffer.hpp"
#include "comm/staging.hpp"
#include "comm/step_list.hpp"
#include "comm/transport.hpp"
#include "runtime/core/dtype.hpp"
#include "runtime/core/memory_ops.hpp"

namespace trireme::comm {

/// Slots that a task needs: see the picture above.
inline constexpr int slots_per_task = 2 * stream_depth;

class CollectiveTask {
  public:
    /// `ops` are those of the memory that buffers and staging lie in.
    CollectiveTask(Messages& messages, StagingPool& staging, MemoryOps& ops)
        : messages_(messages), staging_(staging), ops_(ops) {}
    ~CollectiveTask();
    CollectiveTask(const CollectiveTask&) = delete;
    CollectiveTask& operator=(const CollectiveTask&) = delete;

    /// Begins with a list; the task must be done or new. `data` is my buffer and stays until `done`, as does
    /// `staged`, which is given where its elements come and go in pieces.
    void start(std::shared_ptr<const StepList> steps, const Group& group, int tag, std::byte* data,
               DType dtype, StagedBuffer* staged = nullptr);
    /// Moves on as far as it goes without waiting; true when anything moved. Throws what the transport does.
    bool advance();
    [[nodiscard]] bool done() const { return steps_ == nullptr; }
    /// Gives up what is in flight. The buffer is not touched any more, nor copied from where it is staged.
    void cancel();

    /// Steps that are executed, for reports.
    [[nodiscard]] std::int64_t executed() const { return static_cast<std::int64_t>(next_); }
    /// World ranks whose messages or receives the task waits for now.
    [[nodiscard]] std::vector<int> waits_for() const;

  private:
    static constexpr int no_slot = -1;
    struct PostedReceive {
        std::size_t step;
        RequestId request;
        int slot;  ///< no_slot: lands in the buffer
        bool arrived;
    };
    struct UnfinishedSend {
        std::size_t step;
        RequestId request;
        int slot;  ///< no_slot: reads the buffer
    };

    struct Work {
        std::size_t step;
        MemoryOps::Mark mark;
        int slot;         ///< freed, or sent, when the mark has passed
        bool sends_slot;  ///< a step that sends: its sum in the slot, or its range of the buffer
    };

    [[nodiscard]] std::byte* place_of(const Step& step) const;
    [[nodiscard]] std::byte* slot_place(int slot) const;
    [[nodiscard]] std::size_t bytes_of_step(const Step& step) const;
    [[nodiscard]] bool arrived(IndexRange range) const;
    [[nodiscard]] bool read_by_send(IndexRange range) const;
    [[nodiscard]] bool touched_before(std::size_t step) const;
    [[nodiscard]] int sums_under_way() const;
    [[nodiscard]] std::size_t first_unfinished() const;
    bool reap_sends();
    bool reap_work();
    bool post_receives();
    bool execute_next();
    bool execute_received(PostedReceive receive);
    void tell_settled();
    void add_work(int slot, bool sends_slot);
    void post_send(std::size_t step, int slot);
    void release(int slot);
    void finish();

    Messages& messages_;
    StagingPool& staging_;
    MemoryOps& ops_;
    std::shared_ptr<const StepList> steps_;
    const Group* group_ = nullptr;
    int tag_ = 0;
    std::byte* data_ = nullptr;
    DType dtype_ = DType::f32;
    StagedBuffer* staged_ = nullptr;
    std::size_t told_ = 0;  ///< final stores that `staged_` was told of
    std::byte* block_ = nullptr;
    std::size_t next_ = 0;          ///< the step to execute
    std::size_t next_receive_ = 0;  ///< the first step whose receive, if it has one, is not posted
    std::vector<PostedReceive> receives_;
    std::vector<UnfinishedSend> sends_;
    std::vector<Work> work_;
    std::vector<int> free_slots_;
};

}  // namespace trireme::comm
