// Graphs. A launch makes tasks of the nodes, ordered as in the graph, behind what is in the stream and behind
// the launch before. Records and waits take effect when cudaGraphLaunch is called, in the order in which they
// were captured: a record node marks its event then, as cudaEventRecord does, and a wait node takes the
// record that is the latest then.
#include <set>

#include "tests/emulated/runtime/call.hpp"

using trireme::emulated::Call;
using trireme::emulated::call;
using trireme::emulated::GraphBody;
using trireme::emulated::Node;
using trireme::emulated::Retention;
using trireme::emulated::TaskRef;
using trireme::emulated::UserObject;

namespace {

cudaError_t instantiate(Call& here, cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long flags) {
    if (here.alive(graph, "the graph") == nullptr) return cudaErrorInvalidValue;
    if (flags != 0) return here.refuse(cudaErrorInvalidValue, "flags of {:#x} are not emulated", flags);
    if (graph->capturing) return here.refuse(cudaErrorInvalidValue, "the graph is still being captured");
    auto* executable = new CUgraphExec_st;
    executable->device = trireme::emulated::current_device();
    executable->body = std::make_shared<const GraphBody>(graph->body);
    here.all.handles.insert(executable);
    *made = executable;
    return cudaSuccess;
}

/// The stream and the graph of a launch or upload that can be done.
CUstream_st* launchable(const Call& here, cudaGraphExec_t graph, cudaStream_t stream, cudaError_t& status) {
    CUstream_st* known = here.stream(stream);
    status = cudaErrorInvalidResourceHandle;
    if (known == nullptr) return nullptr;
    status = cudaErrorInvalidValue;
    if (here.alive(graph, "the graph") == nullptr) return nullptr;
    if (known->capture != nullptr) {
        trireme::emulated::invalidate(*known->capture);
        status = here.refuse(cudaErrorNotSupported, "graphs inside graphs are not emulated");
        return nullptr;
    }
    for (const Node& node : graph->body->nodes) {
        if (node.event == nullptr) continue;
        if (here.alive(node.event, "an event of the graph") == nullptr) return nullptr;
        if (node.kind != Node::Kind::wait || node.event->capture == nullptr) continue;
        status = here.refuse(cudaErrorCapturedEvent, "the graph waits for an event that was captured");
        return nullptr;
    }
    status = cudaSuccess;
    return known;
}

/// Behind `begin`.
TaskRef add_node(const Call& here, CUstream_st& stream, const std::shared_ptr<const GraphBody>& body,
                 std::size_t index, std::vector<TaskRef> before) {
    const Node& node = body->nodes[index];
    if (node.kind == Node::Kind::wait) before.push_back(node.event->record);
    trireme::emulated::Work work;
    // The body stays until its last task has run, also where the graph is destroyed meanwhile.
    if (node.kind == Node::Kind::work) work = [body, index] { body->nodes[index].work(); };
    TaskRef task = here.all.scheduler.add(here.all.mutex, stream.number, before, std::move(work));
    if (node.kind == Node::Kind::record) {
        node.event->record = task;
        node.event->capture = nullptr;
        node.event->recorded = true;
    }
    return task;
}

cudaError_t launch(Call& here, cudaGraphExec_t graph, cudaStream_t stream) {
    cudaError_t status = cudaSuccess;
    CUstream_st* known = launchable(here, graph, stream, status);
    if (known == nullptr) return status;
    // One launch of a graph ends before the next begins.
    status = queue(here, *known, nullptr, graph->last);
    if (status != cudaSuccess) return status;
    const TaskRef begin = known->last;
    std::vector<TaskRef> tasks;
    for (std::size_t i = 0; i < graph->body->nodes.size(); ++i) {
        std::vector<TaskRef> before{begin};
        for (const std::size_t other : graph->body->nodes[i].after) before.push_back(tasks[other]);
        tasks.push_back(add_node(here, *known, graph->body, i, std::move(before)));
    }
    known->last = here.all.scheduler.add(here.all.mutex, known->number, tasks, nullptr);
    if (tasks.empty()) known->last = begin;
    graph->last = known->last;
    return cudaSuccess;
}

}  // namespace

/// CUDA's own name for what a handle of a user object points to.
struct CUuserObject_st {
    bool alive = true;
    UserObject object{};
};

extern "C" {

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long flags) {
    return call("cudaGraphInstantiate", [&](Call& here) { return instantiate(here, made, graph, flags); });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t graph, cudaStream_t stream) {
    return call("cudaGraphUpload", [&](Call& here) {
        cudaError_t status = cudaSuccess;
        CUstream_st* known = launchable(here, graph, stream, status);
        if (known == nullptr) return status;
        status = queue(here, *known, nullptr, graph->last);
        if (status == cudaSuccess) graph->last = known->last;
        return status;
    });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
    return call("cudaGraphLaunch", [&](Call& here) { return launch(here, graph, stream); });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    return call("cudaGraphDestroy", [&](Call& here) {
        if (here.alive(graph, "the graph") == nullptr) return cudaErrorInvalidValue;
        if (graph->capturing) return here.refuse(cudaErrorInvalidValue, "the graph is still being captured");
        graph->alive = false;
        graph->body = {};
        return cudaSuccess;
    });
}

/// Nothing in CUDA's documentation forbids it while the graph runs; what has been launched runs to its end.
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
    return call("cudaGraphExecDestroy", [&](Call& here) {
        if (here.alive(graph, "the graph") == nullptr) return cudaErrorInvalidValue;
        graph->alive = false;
        graph->body = nullptr;
        graph->last = nullptr;
        return cudaSuccess;
    });
}

cudaError_t cudaUserObjectCreate(cudaUserObject_t* made, void* payload, cudaHostFn_t destroy,
                                 unsigned references, unsigned flags) {
    return call("cudaUserObjectCreate", [&](Call& here) {
        if (made == nullptr || destroy == nullptr || references == 0 ||
            flags != cudaUserObjectNoDestructorSync)
            return here.refuse(cudaErrorInvalidValue, "no function, no reference, or flags of {:#x}", flags);
        auto* object = new CUuserObject_st;
        object->object = {.payload = payload, .destroy = destroy, .references = references};
        here.all.handles.insert(object);
        *made = object;
        return cudaSuccess;
    });
}

cudaError_t cudaUserObjectRelease(cudaUserObject_t object, unsigned count) {
    return call("cudaUserObjectRelease", [&](Call& here) {
        if (here.alive(object, "the object") == nullptr) return cudaErrorInvalidValue;
        if (count == 0 || count > object->object.references)
            return here.refuse(cudaErrorInvalidValue, "{} references of {} are given up", count,
                               object->object.references);
        if (count == object->object.references) object->alive = false;
        release_user_object(object->object, count);
        return cudaSuccess;
    });
}

/// The references that a graph holds are its executable graphs', too.
cudaError_t cudaGraphRetainUserObject(cudaGraph_t graph, cudaUserObject_t object, unsigned count,
                                      unsigned flags) {
    return call("cudaGraphRetainUserObject", [&](Call& here) {
        if (here.alive(graph, "the graph") == nullptr || here.alive(object, "the object") == nullptr)
            return cudaErrorInvalidValue;
        if (count == 0 || (flags & ~static_cast<unsigned>(cudaGraphUserObjectMove)) != 0)
            return here.refuse(cudaErrorInvalidValue, "{} references, flags of {:#x}", count, flags);
        if ((flags & cudaGraphUserObjectMove) == 0) object->object.references += count;
        graph->body.retained.push_back(std::make_shared<Retention>(&object->object, count));
        return cudaSuccess;
    });
}

}  // extern "C"
