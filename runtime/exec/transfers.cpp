#include "runtime/exec/transfers.hpp"

#include "runtime/core/dtype.hpp"

namespace trireme {
namespace {

using Events = std::vector<std::shared_ptr<Event>>;

Events events(Device& device, int count) {
    Events made;
    for (int i = 0; i < count; ++i) made.push_back(device.make_event());
    return made;
}

Event& at(const Events& events, int index) { return *events.at(static_cast<std::size_t>(index)); }

std::byte* bytes_of_floats(float* values) { return reinterpret_cast<std::byte*>(values); }

}  // namespace

DeviceTransfers::DeviceTransfers(Device& device, Stream& compute, BatchBytes batch, int buckets,
                                 int microbatches)
    : compute_(compute),
      gradients_(events(device, buckets)),
      summed_(events(device, buckets)),
      batch_(device.make_stream()),
      download_(device.make_stream()) {
    for (Half& half : halves_) {
        half.x = Region(device.memory(), batch.x);
        half.y = Region(device.memory(), batch.y);
        half.samples = events(device, microbatches);
    }
}

void DeviceTransfers::load(int half, int microbatch, const Piece& x, const Piece& y) {
    const Half& to = halves_.at(static_cast<std::size_t>(half));
    batch_->copy(to.x.data() + x.offset.value, x.host, x.size);
    batch_->copy(to.y.data() + y.offset.value, y.host, y.size);
    batch_->record(at(to.samples, microbatch));
}

void DeviceTransfers::await_samples(int microbatch) { compute_.wait(at(at_hand().samples, microbatch)); }

void DeviceTransfers::finish_samples(int microbatch) { at(at_hand().samples, microbatch).synchronize(); }

void DeviceTransfers::finish_uploads() noexcept { drain_stream(*batch_); }

void DeviceTransfers::gradients_ready(int bucket) { compute_.record(at(gradients_, bucket)); }

void DeviceTransfers::download(int bucket, std::span<const Range> ranges) {
    download_->wait(at(gradients_, bucket));
    for (const Range& range : ranges) {
        download_->copy(bytes_of_floats(range.host), bytes_of_floats(range.device),
                        bytes_of(Elements(range.elements), DType::f32));
        download_->record(*range.arrived);
    }
}

comm::Ready DeviceTransfers::gradients_there(int bucket) const {
    return [there = gradients_.at(static_cast<std::size_t>(bucket))] { return there->done(); };
}

void DeviceTransfers::await_gradients(Stream& stream, int bucket) { stream.wait(at(gradients_, bucket)); }

}  // namespace trireme
