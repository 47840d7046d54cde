#include "fusefs/in_flight.h"

#include <linux/fuse.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace flocker {
namespace {

constexpr size_t kPage = 4096;
// Where a request begins in its room: the data of a WRITE, behind its headers, begin with a page, so that the kernel
// copies whole pages and direct I/O can take them from where they are.
constexpr size_t kLead = kPage - sizeof(fuse_in_header) - sizeof(fuse_write_in);
static_assert(kLead + kMaxRequest <= SavedState::kRequestRoom);
constexpr size_t PagesOf(size_t request) { return (kLead + request + kPage - 1) / kPage; }
constexpr size_t kPages = PagesOf(kMaxRequest);
// Cheaper to copy than to give up a room of a megabyte, locked in memory, for.
constexpr size_t kSmall = 16384;
constexpr size_t kMaxHot = 64;
constexpr size_t kDiscard = size_t{64} << 10;  // rooms that took more memory than this give it back
constexpr uint32_t kMaxAttempts = 2;
// Begins each page of a room before it is read into. The kernel copies a request page by page, so one whose last page
// still begins with this did not arrive whole: the kernel was interrupted by our end, and has failed it.
constexpr uint64_t kUntouched = 0x9d3b5c07e1f246a8;

thread_local InFlight::Kept processing;

bool IsKept(uint32_t opcode) {
  switch (opcode) {
    case FUSE_INIT:
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
    case FUSE_DESTROY:
    case FUSE_NOTIFY_REPLY:
      return false;
    default:
      return true;
  }
}

fuse_in_header HeaderOf(const std::byte* request) {
  fuse_in_header header;
  std::memcpy(&header, request, sizeof header);
  return header;
}

// A request that was dealt with leaves no length: a successor does not take it for one that has arrived.
void ClearLength(std::byte* request) {
  static_assert(offsetof(fuse_in_header, len) == 0);
  std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(request)).store(0, std::memory_order_release);
}

}  // namespace

InFlight::InFlight(SavedState& state)
    : state_(state),
      requests_(state.requests()),
      hot_count_(std::min(kMaxHot, state.requests().size() / 2)),
      spare_hot_(hot_count_ / 8),
      locked_(hot_count_, false),
      used_pages_(hot_count_, kPages) {
  TakeStock();
}

std::byte* InFlight::BytesOf(size_t slot) const { return state_.room(slot) + kLead; }

bool InFlight::Complete(size_t slot) const {
  const fuse_in_header header = HeaderOf(BytesOf(slot));
  if (header.len < sizeof header || header.len > kMaxRequest) return false;
  const size_t last = PagesOf(header.len) - 1;
  if (last == 0) return true;
  uint64_t begins = 0;
  std::memcpy(&begins, state_.room(slot) + last * kPage, sizeof begins);
  return begins != kUntouched;
}

void InFlight::TakeStock() {
  MutexLock lock(mutex_);
  for (size_t i = requests_.size(); i > 0; --i) {
    const size_t slot = i - 1;
    const SavedRequest& request = requests_[slot];
    if (request.state == RequestState::kOffered) continue;
    if (request.state == RequestState::kFree) {
      (slot < hot_count_ ? hot_ : cold_).push_back(slot);
      continue;
    }
    next_arrival_ = std::max(next_arrival_, request.arrival + 1);
    slots_[request.unique] = slot;
    unfinished_.push_back(slot);
  }
  for (size_t slot = 0; slot < hot_count_; ++slot) {
    SavedRequest& request = requests_[slot];
    if (request.state != RequestState::kOffered) continue;
    const fuse_in_header header = HeaderOf(BytesOf(slot));
    if (header.len == 0 || slots_.contains(header.unique)) {  // nothing was read, or it is already elsewhere
      SetState(slot, RequestState::kFree);
      hot_.push_back(slot);
      continue;
    }
    request.length = header.len;
    request.unique = header.unique;
    request.opcode = header.opcode;
    request.arrival = next_arrival_++;
    request.attempts = request.interrupted = request.reply_size = request.note_size = 0;
    SetState(slot, Complete(slot) ? RequestState::kDelivered : RequestState::kBegun);
    slots_[request.unique] = slot;
    unfinished_.push_back(slot);
  }
  std::sort(unfinished_.begin(), unfinished_.end(),
            [this](size_t a, size_t b) { return requests_[a].arrival < requests_[b].arrival; });
}

void InFlight::SetState(size_t slot, RequestState state) {
  // A successor reads this after our death: everything written before must be there when the state is.
  std::atomic_ref<RequestState>(requests_[slot].state).store(state, std::memory_order_release);
}

bool InFlight::TakeHot(size_t* slot) {
  if (hot_.empty()) return false;
  *slot = hot_.back();
  hot_.pop_back();
  if (!locked_[*slot] && mlock(state_.room(*slot), kPages * kPage) != 0) {
    spdlog::warn("cannot lock memory for requests ({}); one may fail when this process is killed",
                 std::strerror(errno));
  }
  locked_[*slot] = true;
  ClearLength(BytesOf(*slot));
  SetState(*slot, RequestState::kOffered);
  return true;
}

size_t InFlight::Offer() {
  MutexLock lock(mutex_);
  size_t slot = 0;
  while (!TakeHot(&slot)) changed_.Wait(lock);
  return slot;
}

std::span<std::byte> InFlight::Room(size_t offered) {
  std::byte* room = state_.room(offered);
  std::byte* request = BytesOf(offered);
  std::memset(request, 0, sizeof(fuse_in_header));
  for (size_t page = 1; page < used_pages_[offered]; ++page) {
    std::memcpy(room + page * kPage, &kUntouched, sizeof kUntouched);
  }
  used_pages_[offered] = kPages;  // until it is known to be less
  return {request, kMaxRequest};
}

std::optional<InFlight::Received> InFlight::Deliver(size_t& offered, size_t size) {
  std::byte* bytes = BytesOf(offered);
  used_pages_[offered] = PagesOf(size);
  const fuse_in_header header = HeaderOf(bytes);
  if (!IsKept(header.opcode)) {
    if (header.opcode == FUSE_INTERRUPT && size >= sizeof header + sizeof(fuse_interrupt_in)) {
      fuse_interrupt_in whom{};
      std::memcpy(&whom, bytes + sizeof header, sizeof whom);
      MutexLock lock(mutex_);
      if (const auto found = slots_.find(whom.unique); found != slots_.end()) {
        requests_[found->second].interrupted = 1;
      }
    }
    if (header.opcode != FUSE_INIT) ClearLength(bytes);
    return Received{{bytes, size}, std::nullopt};
  }
  size_t slot = offered;
  uint64_t arrival = 0;
  bool moved = true;
  {
    MutexLock lock(mutex_);
    size_t next = 0;
    if (size > kSmall && hot_.size() > spare_hot_ && TakeHot(&next)) {
      offered = next;
      moved = false;
    } else {
      while (cold_.empty() && !stopping_) changed_.Wait(lock);
      if (cold_.empty()) return std::nullopt;
      slot = cold_.back();
      cold_.pop_back();
    }
    arrival = next_arrival_++;
  }
  if (moved) std::memcpy(BytesOf(slot), bytes, size);
  SavedRequest& request = requests_[slot];
  request.length = static_cast<uint32_t>(size);
  request.unique = header.unique;
  request.arrival = arrival;
  request.opcode = header.opcode;
  request.attempts = request.interrupted = request.reply_size = request.note_size = 0;
  SetState(slot, RequestState::kDelivered);
  if (moved) ClearLength(bytes);
  MutexLock lock(mutex_);
  slots_[header.unique] = slot;
  return Received{{BytesOf(slot), size}, slot};
}

void InFlight::Stop() {
  MutexLock lock(mutex_);
  stopping_ = true;
  changed_.NotifyAll();
}

void InFlight::Begin(size_t slot, std::string_view note) {
  const bool final = note.empty();
  if (final) ++begun_;
  if (handing_over_) {
    MutexLock lock(mutex_);
    if (final && --begun_ == 0) changed_.NotifyAll();
    while (true) changed_.Wait(lock);  // the process ends, and the successor executes it
  }
  if (final) return SetState(slot, RequestState::kBegun);
  SavedRequest& request = requests_[slot];
  if (request.state == RequestState::kNoted) return;  // a predecessor's, and the same: never half of each
  request.note_size = static_cast<uint32_t>(note.copy(request.note, sizeof request.note));
  SetState(slot, RequestState::kNoted);
}

bool InFlight::HandOver(absl::Duration patience) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(patience);
  handing_over_ = true;
  MutexLock lock(mutex_);
  while (begun_ != 0) {
    if (!changed_.WaitUntil(lock, deadline)) return begun_ == 0;
  }
  return true;
}

ssize_t InFlight::Answer(int device, const iovec* reply, int count) {
  fuse_out_header header{};
  if (count < 1 || reply[0].iov_len < sizeof header) {
    errno = EINVAL;
    return -1;
  }
  std::memcpy(&header, reply[0].iov_base, sizeof header);
  size_t slot = 0;
  {
    MutexLock lock(mutex_);
    const auto found = slots_.find(header.unique);
    if (found == slots_.end()) slot = requests_.size();  // a notification, or the answer to what is not kept
    if (found != slots_.end()) {
      slot = found->second;
      slots_.erase(found);
    }
  }
  if (slot == requests_.size()) return writev(device, reply, count);
  SavedRequest& request = requests_[slot];
  const bool begun = request.state == RequestState::kBegun;
  if (header.len <= sizeof request.reply) {
    size_t size = 0;
    for (int i = 0; i < count && size + reply[i].iov_len <= sizeof request.reply; ++i) {
      std::memcpy(request.reply + size, reply[i].iov_base, reply[i].iov_len);
      size += reply[i].iov_len;
    }
    request.reply_size = static_cast<uint32_t>(size);
    SetState(slot, RequestState::kAnswered);
  }
  const ssize_t written = writev(device, reply, count);
  const int error = errno;
  Free(slot);
  if (begun && --begun_ == 0 && handing_over_) {
    MutexLock lock(mutex_);
    changed_.NotifyAll();
  }
  errno = error;
  return written;
}

void InFlight::Free(size_t slot) {
  const bool hot = slot < hot_count_;
  if (!hot && requests_[slot].length > kDiscard) state_.Discard(slot);
  SetState(slot, RequestState::kFree);
  MutexLock lock(mutex_);
  std::vector<size_t>& free = hot ? hot_ : cold_;
  if (free.empty()) changed_.NotifyAll();  // somebody may wait for one of these
  free.push_back(slot);
}

std::optional<InFlight::Received> InFlight::Again(size_t slot) {
  SavedRequest& request = requests_[slot];
  const bool noted = request.state == RequestState::kNoted;
  if ((request.state != RequestState::kDelivered && !noted) || request.attempts >= kMaxAttempts ||
      request.length < sizeof(fuse_in_header) || request.length > kMaxRequest) {
    return std::nullopt;
  }
  ++request.attempts;
  std::byte* bytes = BytesOf(slot);
  std::memcpy(bytes + offsetof(fuse_in_header, opcode), &request.opcode, sizeof request.opcode);
  if (IsKept(request.opcode)) return Received{{bytes, request.length}, slot};
  {
    MutexLock lock(mutex_);
    slots_.erase(request.unique);
  }
  return Received{{bytes, request.length}, std::nullopt};
}

void InFlight::Finish(int device, size_t slot) {
  SavedRequest& request = requests_[slot];
  if (!IsKept(request.opcode)) return Free(slot);
  if (request.state != RequestState::kAnswered || request.reply_size > sizeof request.reply) {
    fuse_out_header failed{};
    failed.len = sizeof failed;
    failed.error = -EIO;
    failed.unique = request.unique;
    std::memcpy(request.reply, &failed, sizeof failed);
    request.reply_size = sizeof failed;
    SetState(slot, RequestState::kAnswered);
  }
  {
    MutexLock lock(mutex_);
    slots_.erase(request.unique);
  }
  // ENOENT: the predecessor's answer had arrived.
  if (write(device, request.reply, request.reply_size) < 0 && errno != ENOENT) {
    spdlog::error("cannot answer request {} of the predecessor's: {}", request.unique, std::strerror(errno));
  }
  Free(slot);
}

bool InFlight::Unanswered(uint64_t unique) const {
  MutexLock lock(mutex_);
  const auto found = slots_.find(unique);
  return found != slots_.end() && requests_[found->second].state != RequestState::kAnswered;
}

InFlight::Processing::Processing(InFlight& in_flight, const Received& received) {
  if (!received.slot) return;
  const SavedRequest& request = in_flight.requests_[*received.slot];
  processing = {&in_flight, *received.slot, request.unique, {}};
  if (request.state != RequestState::kNoted) return;
  processing.note.assign(request.note, std::min<size_t>(request.note_size, sizeof request.note));
}

InFlight::Processing::~Processing() { processing = {}; }

const InFlight::Kept& InFlight::Current() { return processing; }

}  // namespace flocker
