#include "runtime/exec/transfers.hpp"

#include "runtime/core/dtype.hpp"
#include "runtime/core/error.hpp"

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
      arrived_(events(device, buckets)),
      summed_(events(device, buckets)),
      batch_(device.make_stream()),
      upload_(device.make_stream()),
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

void DeviceTransfers::finish_uploads() noexcept {
    try {
        batch_->synchronize();
    } catch (const Error&) {
        // The device is lost, and copies with it; the error that is on its way says more.
    }
}

void DeviceTransfers::gradients_ready(int bucket) { compute_.record(at(gradients_, bucket)); }

comm::Ready DeviceTransfers::download(int bucket, std::span<const Range> ranges) {
    download_->wait(at(gradients_, bucket));
    for (const Range& range : ranges) {
        download_->copy(bytes_of_floats(range.host), bytes_of_floats(range.device),
                        bytes_of(Elements(range.elements), DType::f32));
    }
    const std::shared_ptr<Event>& arrived = arrived_.at(static_cast<std::size_t>(bucket));
    download_->record(*arrived);
    return [arrived] { return arrived->done(); };
}

void DeviceTransfers::upload_sum(int bucket, const Range& range) {
    // Also what tells this thread, and so what it launches from here on, that the range may be written.
    ensure(at(arrived_, bucket).done(), "a sum is there only after its operand has arrived");
    upload_->copy(bytes_of_floats(range.device), bytes_of_floats(range.host),
                  bytes_of(Elements(range.elements), DType::f32));
    upload_->record(at(summed_, bucket));
    await_sum(bucket);
}

comm::Ready DeviceTransfers::gradients_there(int bucket) const {
    return [there = gradients_.at(static_cast<std::size_t>(bucket))] { return there->done(); };
}

void DeviceTransfers::await_gradients(Stream& stream, int bucket) { stream.wait(at(gradients_, bucket)); }

}  // namespace trireme
