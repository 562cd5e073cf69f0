// What a step launches beside the kernels of its nodes, over a launch policy (own_kernels.hpp). The functions
// of step_kernels.hpp are these on the device.
#pragma once

#include <array>

#include "runtime/core/error.hpp"
#include "runtime/exec/in_place_sum.hpp"
#include "runtime/kernels/cuda/bodies/elementwise.hpp"
#include "runtime/kernels/cuda/bodies/update.hpp"
#include "runtime/kernels/cuda/step_kernels.hpp"

namespace trireme::cuda {

template <class Launch>
class StepLaunches {
  public:
    static void add_in_place(Stream& stream, const InPlaceSum& sum) {
        ensure(sum.dtype == DType::f32 || is_half(sum.dtype), "gradients are fp32, bf16 or fp16");
        const Sink to{sum.to, sum.dtype};
        each_pack(stream, sum.elements,
                  Map2<Sum>{sum.elements, to.source(), {sum.from, sum.dtype}, to, Sum{}});
    }

    static void clear(Stream& stream, float* values, std::int64_t elements) {
        each_pack(stream, elements, Fill{elements, 0.0F, {reinterpret_cast<std::byte*>(values), DType::f32}});
    }

    static void record_loss(Stream& stream, const RecordLoss& record) {
        Launch::blocks(stream, 1, RecordLoss::threads, record);
    }

    static void update(Stream& stream, const UpdatePlan& plan, const UpdateMemory& memory,
                       const UpdateArenas& arenas) {
        const Tables tables(plan, memory);
        const UpdateSettings& settings = plan.settings();
        const bool lamb = settings.rule == UpdateRule::lamb;
        sum_blocks(stream, plan.all_blocks(), plan.all_tensors(), tables, Squares{arenas.gradients},
                   tables.gradient_squares);
        const auto sum_updated = [&](const auto& terms, double* sums) {
            sum_blocks(stream, plan.blocks(), plan.tensors(), tables, terms, sums);
        };
        if (lamb || settings.rule == UpdateRule::lars)
            sum_updated(Squares{arenas.weights}, tables.weight_squares);
        Launch::blocks(stream, 1, PrepareUpdate::threads,
                       PrepareUpdate{settings, plan.tensors(), plan.all_tensors() - plan.tensors(),
                                     tables.tensors, memory.orders, memory.status, tables.gradient_squares,
                                     tables.weight_squares, memory.state, tables.rates});
        if (lamb) {
            sum_updated(LambMoments{memory.state, tables.rates, arenas.weights, arenas.gradients,
                                    arenas.first, arenas.second},
                        tables.gradient_squares);
            Launch::each(stream, plan.tensors(),
                         LambTrust{settings, tables.tensors, memory.state, tables.gradient_squares,
                                   tables.weight_squares, tables.rates});
        }
        Launch::blocks(stream, plan.blocks(), ApplyUpdate::threads,
                       ApplyUpdate{settings, tables.blocks, tables.rates, memory.state, arenas});
    }

    static void update_running(Stream& stream, std::int64_t norms, const UpdateRunning& update) {
        Launch::blocks(stream, norms, UpdateRunning::threads, update);
    }

    static void exchange(Stream& stream, float* a, float* b, std::int64_t elements) {
        each_pack(stream, elements,
                  Exchange{elements,
                           {reinterpret_cast<std::byte*>(a), DType::f32},
                           {reinterpret_cast<std::byte*>(b), DType::f32}});
    }

  private:
    /// The tables of a plan where they lie on the device.
    struct Tables {
        Tables(const UpdatePlan& plan, const UpdateMemory& memory)
            : blocks(at<const UpdateBlock>(memory, plan.block_table())),
              tensors(at<const UpdateTensor>(memory, plan.tensor_table())),
              block_sums(at<double>(memory, plan.block_sums())),
              weight_squares(at<double>(memory, plan.weight_squares())),
              gradient_squares(at<double>(memory, plan.gradient_squares())),
              rates(at<UpdateRates>(memory, plan.rates())) {}
        template <class T>
        static T* at(const UpdateMemory& memory, std::int64_t offset) {
            return reinterpret_cast<T*>(memory.tables + offset);
        }

        const UpdateBlock* blocks;
        const UpdateTensor* tensors;
        double* block_sums;
        double* weight_squares;
        double* gradient_squares;
        UpdateRates* rates;
    };

    template <class Terms>
    static void sum_blocks(Stream& stream, std::int64_t blocks, std::int64_t tensors, const Tables& tables,
                           const Terms& terms, double* sums) {
        Launch::blocks(stream, BlockSums<Terms>::groups(blocks), BlockSums<Terms>::threads,
                       BlockSums<Terms>{tables.blocks, blocks, terms, tables.block_sums});
        Launch::blocks(stream, tensors, AddBlocks::threads,
                       AddBlocks{tables.tensors, tables.block_sums, sums});
    }
    template <class Body>
    static void each_pack(Stream& stream, std::int64_t elements, const Body& body) {
        Launch::each(stream, packs_of(elements), body);
    }
};

}  // namespace trireme::cuda
