// cuDNN's descriptors: attributes are set, finalising makes one object of them, and from then on they are
// only read.
#pragma once

#include <cstddef>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "tests/emulated/cudnn/engines.hpp"
#include "tests/emulated/cudnn/graph.hpp"
#include "tests/emulated/cudnn/operations.hpp"

namespace trireme::emulated::dnn {

class Plan;

struct MatmulRule {};
struct ReductionRule {
    cudnnReduceTensorOp_t op = CUDNN_REDUCE_TENSOR_ADD;
};
struct DeviceProperties {};
struct Heuristics {
    std::shared_ptr<const Graph> graph;
    std::vector<EngineConfig> configs;
};
/// The engine of a configuration, alone.
struct Engine {
    EngineConfig config;
};
struct VariantPack {
    std::vector<std::int64_t> uids;
    std::vector<void*> memory;
    void* workspace = nullptr;
};

/// What a finalised descriptor stands for.
using Meaning = std::variant<std::monostate, TensorPtr, Placement, PointwiseRule, MatmulRule, ReductionRule,
                             Operation, std::shared_ptr<const Graph>, Heuristics, Engine, PlannedConfig,
                             KnobChoice, std::shared_ptr<Plan>, VariantPack, DeviceProperties>;

class Descriptor;
using DescriptorPtr = std::shared_ptr<Descriptor>;

class Descriptor {
  public:
    explicit Descriptor(cudnnBackendDescriptorType_t type) : type_(type) {}

    [[nodiscard]] cudnnBackendDescriptorType_t type() const { return type_; }
    [[nodiscard]] std::string name() const;
    [[nodiscard]] bool is_finalized() const { return finalized_; }

    /// Throw Refusal.
    void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
             const void* elements);
    void finalize();
    void get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t requested,
             std::int64_t* count, void* elements) const;

    /// Of a descriptor that the library fills itself.
    void become(Meaning meaning) {
        meaning_ = std::move(meaning);
        finalized_ = true;
    }

    [[nodiscard]] bool has(cudnnBackendAttributeName_t name) const { return values_.count(name) != 0; }
    template <class T>
    [[nodiscard]] std::vector<T> list(cudnnBackendAttributeName_t name) const {
        const std::vector<std::byte>& bytes = values_.at(name).bytes;
        std::vector<T> elements(bytes.size() / sizeof(T));
        std::memcpy(elements.data(), bytes.data(), bytes.size());
        return elements;
    }
    template <class T>
    [[nodiscard]] T value(cudnnBackendAttributeName_t name) const {
        return list<T>(name).at(0);
    }
    template <class T>
    [[nodiscard]] T value_or(cudnnBackendAttributeName_t name, T otherwise) const {
        return has(name) ? value<T>(name) : otherwise;
    }
    [[nodiscard]] const std::vector<DescriptorPtr>& links(cudnnBackendAttributeName_t name) const {
        return values_.at(name).links;
    }
    /// What the descriptor stands for; refused where it is something else.
    template <class T>
    [[nodiscard]] const T& as() const {
        const T* found = std::get_if<T>(&meaning_);
        if (found == nullptr) refuse_meaning();
        return *found;
    }
    template <class T>
    [[nodiscard]] const T& linked(cudnnBackendAttributeName_t name) const {
        return links(name).at(0)->template as<T>();
    }

  private:
    struct Stored {
        std::vector<std::byte> bytes;
        std::vector<DescriptorPtr> links;
    };
    [[noreturn]] void refuse_meaning() const;

    cudnnBackendDescriptorType_t type_;
    bool finalized_ = false;
    std::map<cudnnBackendAttributeName_t, Stored> values_;
    Meaning meaning_;
};

/// Descriptors that users hold, by their addresses. Throw Refusal for what is none.
[[nodiscard]] cudnnBackendDescriptor_t hold(cudnnBackendDescriptorType_t type);
void release(cudnnBackendDescriptor_t descriptor);
[[nodiscard]] DescriptorPtr held(cudnnBackendDescriptor_t descriptor);

/// What its attributes come to. Throws Refusal where they do not fit each other.
[[nodiscard]] Meaning meaning_of(const Descriptor& descriptor);
/// meaning_of for operations (read_operations.cpp).
[[nodiscard]] Operation operation_of(const Descriptor& descriptor);

}  // namespace trireme::emulated::dnn
