// cublasLtMatmul: everything is checked in the call; the product itself is work of the stream.
#include <map>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "tests/emulated/cublaslt/refusal.hpp"
#include "tests/emulated/cublaslt/run.hpp"

namespace trireme::emulated {
namespace {

/// A piece of memory that a run reads or writes.
struct Piece {
    const char* name;
    const std::byte* begin;
    std::int64_t bytes;
    std::uint8_t promised;  ///< its alignment
    bool written;
    std::int64_t line = 0;      ///< bytes of a line, and
    std::int64_t distance = 0;  ///< bytes from a line to the next; 0: all of it is in use
};

Piece matrix(const char* name, const void* at, const View& view, std::int64_t batches, std::uint8_t promised,
             bool written) {
    const std::int64_t size = size_of(view.element);
    const std::int64_t last = view.at(view.rows - 1, view.columns - 1, batches - 1);
    Piece piece{name, static_cast<const std::byte*>(at), (last + 1) * size, promised, written};
    if (batches > 1) return piece;
    piece.line = (view.row_stride == 1 ? view.rows : view.columns) * size;
    piece.distance = view.leading * size;
    return piece;
}

std::vector<Piece> pieces_of(const Run& run) {
    const Problem& p = run.problem;
    const Alignments& promised = run.algorithm.promised;
    std::vector<Piece> pieces{matrix("D", run.d, p.d, p.batches, promised.d, true),
                              matrix("A", run.a, p.a, p.batches, promised.a, false),
                              matrix("B", run.b, p.b, p.batches, promised.b, false)};
    if (run.c != run.d && (p.scalars_on_device || run.beta != 0))
        pieces.push_back(matrix("C", run.c, p.c, p.batches, promised.c, false));
    if (p.epilogue.has_vector()) {
        const std::int64_t elements = p.vector_length() + (p.batches - 1) * p.vector_batch_stride;
        pieces.push_back({"the bias", run.vector, elements * size_of(p.vector_element), promised.vector,
                          p.epilogue.has_sums()});
    }
    if (p.epilogue.has_aux()) {
        const std::int64_t before = (p.batches - 1) * p.aux_batch_stride + (p.n - 1) * p.aux_leading;
        const std::int64_t bytes = p.epilogue.has_mask() ? (before + (p.m + 127) / 128 * 128) / 8
                                                         : (before + p.m) * size_of(p.d.element);
        pieces.push_back({"aux", run.aux, bytes, promised.aux, p.epilogue.writes_aux});
    }
    if (run.workspace_size > 0)
        pieces.push_back(
            {"the workspace", run.workspace, static_cast<std::int64_t>(run.workspace_size), 8, true});
    return pieces;
}

bool is_device_memory(const std::byte* address) {
    cudaPointerAttributes attributes{};
    return cudaPointerGetAttributes(&attributes, address) == cudaSuccess &&
           (attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged);
}

/// Lines of two matrices may lie between each other where their distances are the same.
bool overlap(const Piece& x, const Piece& y) {
    if (x.begin >= y.begin + y.bytes || y.begin >= x.begin + x.bytes) return false;
    if (x.distance == 0 || x.distance != y.distance) return true;
    const std::int64_t apart = ((y.begin - x.begin) % x.distance + x.distance) % x.distance;
    return apart < x.line || apart + y.line > x.distance;
}

std::string bad_memory(const Run& run) {
    const std::vector<Piece> pieces = pieces_of(run);
    for (const Piece& piece : pieces) {
        if (piece.begin == nullptr) return fmt::format("{} is null", piece.name);
        if (alignment_of(piece.begin) < piece.promised)
            return fmt::format("{} lies at no multiple of {} bytes, as was promised to the heuristics",
                               piece.name, 1 << piece.promised);
        if (!is_device_memory(piece.begin) || !is_device_memory(piece.begin + piece.bytes - 1))
            return fmt::format("{}, {} bytes, is not memory of a device, or not all of it", piece.name,
                               piece.bytes);
    }
    for (const Piece& piece : pieces) {
        for (const Piece& other : pieces) {
            if (&other != &piece && piece.written && overlap(piece, other))
                return fmt::format("{} is written and overlaps {}", piece.name, other.name);
        }
    }
    return {};
}

std::string bad_scalars(const Run& run) {
    const Problem& p = run.problem;
    if (!p.scalars_on_device) {
        if (p.epilogue.has_sums() && (run.alpha != 1 || run.beta != 0))
            return "this double knows gradients of a bias for alpha 1 and beta 0 alone";
        return {};
    }
    for (const std::byte* scalar : {run.alpha_on_device, run.beta_on_device}) {
        if (!is_device_memory(scalar)) return "alpha or beta is not memory of a device";
    }
    return {};
}

std::string bad_workspace(const Run& run) {
    const std::size_t needed = workspace_of(run.algorithm, run.problem);
    if (run.workspace_size < needed)
        return fmt::format("{} bytes of workspace, the algorithm needs {}", run.workspace_size, needed);
    if (run.workspace_size > 0 && run.workspace == nullptr) return "the workspace is null";
    if (alignment_of(run.workspace) < 8) return "the workspace lies at no multiple of 256 bytes";
    return {};
}

/// Runs are kept for good, since graphs replay them at any time; a training loop asks for the same ones over
/// and over, so equal ones are kept once.
const Run* kept(const Run& run) {
    static auto* const mutex = new std::mutex;
    static auto* const runs = new std::map<std::string, std::unique_ptr<const Run>>;
    const std::string key(reinterpret_cast<const char*>(&run), sizeof(run));
    const std::scoped_lock lock(*mutex);
    std::unique_ptr<const Run>& found = (*runs)[key];
    if (found == nullptr) found = std::make_unique<const Run>(run);
    return found.get();
}

cublasStatus_t enqueue(const char* function, const Run& run, cudaStream_t stream) {
    const auto work = [](void* data) { execute(*static_cast<const Run*>(data)); };
    const cudaError_t error = cudaLaunchHostFunc(stream, work, const_cast<Run*>(kept(run)));
    if (error == cudaSuccess) return CUBLAS_STATUS_SUCCESS;
    return refuse(CUBLAS_STATUS_EXECUTION_FAILED, function, cudaGetErrorString(error));
}

}  // namespace
}  // namespace trireme::emulated

extern "C" {

namespace emulated = trireme::emulated;

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algo, void* workspace, size_t workspace_size,
                              cudaStream_t stream) {
    const auto refuse = [](const std::string& reason, cublasStatus_t status = CUBLAS_STATUS_INVALID_VALUE) {
        return emulated::refuse(status, "cublasLtMatmul", reason);
    };
    const emulated::Looked looked =
        emulated::look(__func__, {handle, desc, a_layout, b_layout, c_layout, d_layout});
    if (looked.status != CUBLAS_STATUS_SUCCESS) return looked.status;
    if (alpha == nullptr || beta == nullptr) return refuse("alpha or beta is null");
    if (algo == nullptr) return refuse("this double asks no heuristics by itself: algo is null");
    if (c == d && c_layout != nullptr &&
        !(*emulated::Living<emulated::Layout>::all().find(c_layout) ==
          *emulated::Living<emulated::Layout>::all().find(d_layout)))
        return refuse("C is D, and their layouts differ");

    emulated::Run run;
    std::memset(static_cast<void*>(&run), 0, sizeof(run));  // equal runs have equal bytes
    run.problem = looked.problem;
    run.algorithm = emulated::algorithm_of(*algo);
    const emulated::Verdict verdict = emulated::judge(run.algorithm, *looked.handle, run.problem);
    if (verdict.status != CUBLAS_STATUS_SUCCESS) return refuse(verdict.reason, verdict.status);
    run.a = static_cast<const std::byte*>(a);
    run.b = static_cast<const std::byte*>(b);
    run.c = static_cast<const std::byte*>(c);
    run.d = static_cast<std::byte*>(d);
    run.vector = static_cast<std::byte*>(looked.operation->bias);
    run.aux = static_cast<std::byte*>(looked.operation->aux);
    run.workspace = static_cast<std::byte*>(workspace);
    run.workspace_size = workspace_size;
    run.salt = looked.handle->salt;
    run.repeats = looked.handle->repeats;
    if (run.problem.scalars_on_device) {
        run.alpha_on_device = static_cast<const std::byte*>(alpha);
        run.beta_on_device = static_cast<const std::byte*>(beta);
    } else {
        run.alpha = *static_cast<const float*>(alpha);
        run.beta = *static_cast<const float*>(beta);
    }
    for (const std::string& reason :
         {emulated::bad_scalars(run), emulated::bad_workspace(run), emulated::bad_memory(run)}) {
        if (!reason.empty()) return refuse(reason);
    }
    return emulated::enqueue(__func__, run, stream);
}

}  // extern "C"
