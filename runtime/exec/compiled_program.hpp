// A program bound to memory and kernels: every pointer and kernel of every instruction is resolved once, so
// that a step neither allocates nor looks anything up.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/exec/in_place_sum.hpp"
#include "runtime/exec/model_state.hpp"
#include "runtime/exec/program.hpp"
#include "runtime/plan/buffer_table.hpp"

namespace trireme {

/// Memory that programs of one rank share.
struct ProgramMemory {
    std::byte* arena = nullptr;  ///< at least as large as the memory plan says
    float* gradients = nullptr;  ///< the bucket arena; null for forward programs
    const ModelState* state = nullptr;
};

struct CompiledInstruction {
    const Instruction* source = nullptr;
    std::string text;  ///< for traces and verdicts
    NodeKernels* kernels = nullptr;
    KernelBuffers buffers;
    /// Inputs that point into the batch: position in buffers.inputs, and bytes a sample.
    struct FromBatch {
        std::size_t input = 0;
        bool target = false;
        std::int64_t sample_bytes = 0;
    };
    std::vector<FromBatch> from_batch;
    LaunchContext context;          ///< its first_position is set once, seed and step by the executor
    float* status = nullptr;        ///< RecordLoss: status words of its slot; null in forward programs
    std::int64_t first_sample = 0;  ///< of its micro-batch
    std::int64_t samples = 0;       ///< of its micro-batch
    std::vector<InPlaceSum> sums;   ///< of the Add... and Combine... instructions
};

class CompiledProgram {
  public:
    /// Takes the program; binds it. The arena must have `arena_bytes(program)`.
    CompiledProgram(Program program, const Selection& selection, const GradBuckets& buckets,
                    const ProgramMemory& memory);
    CompiledProgram(CompiledProgram&&) = default;

    [[nodiscard]] std::vector<CompiledInstruction>& instructions() { return instructions_; }
    [[nodiscard]] const Program& program() const { return *program_; }
    /// Where the activation of a tensor is after a forward program.
    [[nodiscard]] const float* activation(layers::TensorId tensor) const;

  private:
    class Binder;
    std::unique_ptr<Program> program_;  // stable address: instructions point into it
    std::vector<CompiledInstruction> instructions_;
    std::map<layers::TensorId, const float*> activations_;
};

}  // namespace trireme
