#include "tests/emulated/cudnn/descriptors.hpp"

#include <algorithm>
#include <mutex>

#include "tests/emulated/cudnn/attributes.hpp"
#include "tests/emulated/cudnn/plan.hpp"
#include "tests/emulated/cudnn/refusals.hpp"

namespace trireme::emulated::dnn {
namespace {

/// The library has no object that all of a program's descriptors belong to, so those that are held are here.
struct Holdings {
    std::mutex mutex;
    std::map<const void*, DescriptorPtr> descriptors;
};
Holdings& holdings() {
    static Holdings& all = *new Holdings;
    return all;
}

const AttributeRule& known_rule(const Descriptor& descriptor, cudnnBackendAttributeName_t name,
                                cudnnBackendAttributeType_t type) {
    const AttributeRule* rule = rule_of(descriptor.type(), name);
    if (rule == nullptr) {
        refuse(CUDNN_STATUS_BAD_PARAM, "{} has no attribute {}, or it is not known here", descriptor.name(),
               static_cast<int>(name));
    }
    if (rule->type != type) {
        refuse(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, "{} is of type {}, not {}", rule->text,
               static_cast<int>(rule->type), static_cast<int>(type));
    }
    return *rule;
}

/// Descriptors that are named in another one.
std::vector<DescriptorPtr> linked_descriptors(const AttributeRule& rule, std::int64_t count,
                                              const void* elements) {
    const auto* handles = static_cast<const cudnnBackendDescriptor_t*>(elements);
    std::vector<DescriptorPtr> links;
    for (std::int64_t i = 0; i < count; ++i) {
        links.push_back(held(handles[i]));
        if (!links.back()->is_finalized()) {
            refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "{}: {} is not finalised", rule.text,
                   links.back()->name());
        }
    }
    return links;
}

/// Copies what there is, no more than asked for; without a place for it the count alone is told.
void give(const AttributeRule& rule, std::size_t available, const void* from, std::int64_t requested,
          std::int64_t* count, void* elements) {
    if (count != nullptr) *count = static_cast<std::int64_t>(available);
    if (elements == nullptr) {
        require(count != nullptr, "{}: there is no place for an answer", rule.text);
        return;
    }
    const std::size_t copied = std::min(available, static_cast<std::size_t>(requested));
    if (copied > 0) std::memcpy(elements, from, copied * size_of(rule.type));
}

template <class T>
void give_value(const AttributeRule& rule, T value, std::int64_t requested, std::int64_t* count,
                void* elements) {
    require(requested == 1, "{} is one element, and {} are asked for", rule.text, requested);
    give(rule, 1, &value, requested, count, elements);
}

/// The caller's own descriptors become what is asked for.
void give_descriptors(const AttributeRule& rule, const std::vector<Meaning>& meanings,
                      cudnnBackendDescriptorType_t type, std::int64_t requested, std::int64_t* count,
                      void* elements) {
    if (count != nullptr) *count = static_cast<std::int64_t>(meanings.size());
    if (elements == nullptr) return;
    const auto given =
        static_cast<std::int64_t>(std::min(meanings.size(), static_cast<std::size_t>(requested)));
    for (std::int64_t i = 0; i < given; ++i) {
        const DescriptorPtr place = held(static_cast<cudnnBackendDescriptor_t*>(elements)[i]);
        if (place->type() != type) {
            refuse(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE, "{} is given a descriptor {}", rule.text,
                   place->name());
        }
        place->become(meanings[static_cast<std::size_t>(i)]);
    }
}

/// What a library's own descriptor says of itself.
class Answer {
  public:
    Answer(const Descriptor& of, const AttributeRule& rule, std::int64_t requested, std::int64_t* count,
           void* elements)
        : of_(of), rule_(rule), requested_(requested), count_(count), elements_(elements) {}

    void give_it() const {
        switch (rule_.name) {
            case CUDNN_ATTR_ENGINEHEUR_RESULTS:
                return give_results();
            case CUDNN_ATTR_ENGINECFG_ENGINE:
                return descriptors({Engine{config()}}, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
            case CUDNN_ATTR_ENGINECFG_KNOB_CHOICES: {
                std::vector<Meaning> knobs(config().knobs.begin(), config().knobs.end());
                return descriptors(knobs, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
            }
            case CUDNN_ATTR_ENGINECFG_WORKSPACE_SIZE:
                return value(config().workspace);
            case CUDNN_ATTR_ENGINECFG_SHARED_MEMORY_USED:
                return value(std::int32_t{48 << 10});
            case CUDNN_ATTR_ENGINE_GLOBAL_INDEX:
                return value(of_.as<Engine>().config.index);
            case CUDNN_ATTR_ENGINE_NUMERICAL_NOTE: {
                const auto& notes = of_.as<Engine>().config.notes;
                return give(rule_, notes.size(), notes.data(), requested_, count_, elements_);
            }
            case CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE:
                return give(rule_, 0, nullptr, requested_, count_, elements_);
            case CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE:
                return value(of_.as<KnobChoice>().type);
            case CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE:
                return value(of_.as<KnobChoice>().value);
            case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
                return value(of_.as<std::shared_ptr<Plan>>()->workspace());
            default:
                refuse(CUDNN_STATUS_NOT_SUPPORTED, "{} is not answered here", rule_.text);
        }
    }

  private:
    [[nodiscard]] const EngineConfig& config() const { return of_.as<PlannedConfig>().config; }
    template <class T>
    void value(T answer) const {
        give_value(rule_, answer, requested_, count_, elements_);
    }
    void descriptors(const std::vector<Meaning>& meanings, cudnnBackendDescriptorType_t type) const {
        give_descriptors(rule_, meanings, type, requested_, count_, elements_);
    }
    void give_results() const {
        const auto& heuristics = of_.as<Heuristics>();
        std::vector<Meaning> results;
        for (const EngineConfig& found : heuristics.configs)
            results.emplace_back(PlannedConfig{found, heuristics.graph});
        descriptors(results, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    }

    const Descriptor& of_;
    const AttributeRule& rule_;
    std::int64_t requested_;
    std::int64_t* count_;
    void* elements_;
};

}  // namespace

std::string Descriptor::name() const { return name_of(type_); }

void Descriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
                     const void* elements) {
    require(!finalized_, "{} is finalised, and nothing is set any more", this->name());
    const AttributeRule& rule = known_rule(*this, name, type);
    require(rule.access != Access::answer, "{} is not set, it is asked for", rule.text);
    require(count >= 1 && count <= rule.most, "{} has 1 to {} elements, not {}", rule.text, rule.most, count);
    if (elements == nullptr) refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "{} is set from null", rule.text);
    Stored stored;
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
        stored.links = linked_descriptors(rule, count, elements);
    } else {
        const auto* bytes = static_cast<const std::byte*>(elements);
        stored.bytes.assign(bytes, bytes + static_cast<std::size_t>(count) * size_of(type));
    }
    values_.insert_or_assign(name, std::move(stored));
}

void Descriptor::finalize() {
    require(!finalized_, "{} is finalised already", name());
    for (const AttributeRule& rule : all_rules()) {
        if (rule.owner != type_ || rule.access != Access::required || has(rule.name)) continue;
        refuse(CUDNN_STATUS_BAD_PARAM, "{} is finalised without {}", name(), rule.text);
    }
    become(meaning_of(*this));
}

void Descriptor::get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                     std::int64_t requested, std::int64_t* count, void* elements) const {
    const AttributeRule& rule = known_rule(*this, name, type);
    if (!finalized_) {
        refuse(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED, "{} is asked for {} before it is finalised",
               this->name(), rule.text);
    }
    require(requested >= 0, "{}: {} elements are asked for", rule.text, requested);
    if (rule.access == Access::answer) return Answer(*this, rule, requested, count, elements).give_it();
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
        refuse(CUDNN_STATUS_NOT_SUPPORTED, "{} is not given back", rule.text);
    const auto found = values_.find(name);
    require(found != values_.end(), "{} was not set", rule.text);
    const std::vector<std::byte>& bytes = found->second.bytes;
    give(rule, bytes.size() / size_of(type), bytes.data(), requested, count, elements);
}

void Descriptor::refuse_meaning() const {
    refuse(CUDNN_STATUS_BAD_PARAM_DESCRIPTOR_TYPE, "a descriptor {} stands where another kind belongs",
           name());
}

cudnnBackendDescriptor_t hold(cudnnBackendDescriptorType_t type) {
    if (name_of(type) == nullptr) {
        refuse(CUDNN_STATUS_NOT_SUPPORTED, "descriptors of type {} are not known here",
               static_cast<int>(type));
    }
    auto made = std::make_shared<Descriptor>(type);
    cudnnBackendDescriptor_t handle = made.get();
    const std::lock_guard lock(holdings().mutex);
    holdings().descriptors.emplace(handle, std::move(made));
    return handle;
}

void release(cudnnBackendDescriptor_t descriptor) {
    const std::lock_guard lock(holdings().mutex);
    require(holdings().descriptors.erase(descriptor) == 1, "what is destroyed is no descriptor, or was one");
}

DescriptorPtr held(cudnnBackendDescriptor_t descriptor) {
    if (descriptor == nullptr) refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "a descriptor is null");
    const std::lock_guard lock(holdings().mutex);
    const auto found = holdings().descriptors.find(descriptor);
    require(found != holdings().descriptors.end(), "this is no descriptor, or was one");
    return found->second;
}

}  // namespace trireme::emulated::dnn
