#include "fusefs/receive_buffer.h"

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include "engine/base/mutex.h"

namespace flocker {
namespace {

// Cheaper to copy than to hold a buffer of a megabyte for.
constexpr size_t kSmall = 16384;

struct Free {
  void operator()(void* memory) const { std::free(memory); }  // libfuse allocates with malloc
};
using Memory = std::unique_ptr<void, Free>;

// Buffers come back here, so that a stream of writes does not fault in fresh pages for each.
class Spares {
 public:
  Memory Take() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (spares_.empty()) return nullptr;
    Memory memory = std::move(spares_.back());
    spares_.pop_back();
    return memory;
  }
  void Put(Memory memory) EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    if (spares_.size() < kMaxSpares) spares_.push_back(std::move(memory));
  }

 private:
  static constexpr size_t kMaxSpares = 8;
  Mutex mutex_;
  std::vector<Memory> spares_ GUARDED_BY(mutex_);
};

// Shared with every payload, which may outlive the receivers.
std::shared_ptr<Spares> TheSpares() {
  static const auto spares = std::make_shared<Spares>();
  return spares;
}

thread_local fuse_buf* receiving = nullptr;

}  // namespace

ReceiveBuffer::ReceiveBuffer() { receiving = &buffer_; }

ReceiveBuffer::~ReceiveBuffer() {
  receiving = nullptr;
  std::free(buffer_.mem);
}

std::shared_ptr<const char> KeepReceived(const char* data, size_t size) {
  if (receiving == nullptr || receiving->mem == nullptr || size <= kSmall) {
    std::shared_ptr<char[]> copy(new char[size]);
    std::copy_n(data, size, copy.get());
    return {copy, copy.get()};
  }
  Memory next = TheSpares()->Take();
  const std::shared_ptr<void> kept(std::exchange(receiving->mem, next.release()),
                                   [spares = TheSpares()](void* memory) { spares->Put(Memory(memory)); });
  return {kept, data};
}

}  // namespace flocker
