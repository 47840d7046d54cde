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
constexpr size_t kPages = kMaxRequest / kPage;
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

fuse_in_header HeaderIn(const std::byte* room) {
  fuse_in_header header;
  std::memcpy(&header, room, sizeof header);
  return header;
}

// A request that was dealt with leaves no length: a successor does not take it for one that has arrived.
void ClearLength(std::byte* room) {
  static_assert(offsetof(fuse_in_header, len) == 0);
  std::atomic_ref<uint32_t>(*reinterpret_cast<uint32_t*>(room)).store(0, std::memory_order_release);
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

bool InFlight::Complete(size_t slot) const {
  const std::byte* room = state_.room(slot);
  const fuse_in_header header = HeaderIn(room);
  if (header.len < sizeof header || header.len > kMaxRequest) return false;
  const size_t last = (header.len - 1) / kPage;
  if (last == 0) return true;
  uint64_t begins = 0;
  std::memcpy(&begins, room + last * kPage, sizeof begins);
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
    const fuse_in_header header = HeaderIn(state_.room(slot));
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
  if (!locked_[*slot] && mlock(state_.room(*slot), kMaxRequest) != 0) {
    spdlog::warn("cannot lock memory for requests ({}); one may fail when this process is killed",
                 std::strerror(errno));
  }
  locked_[*slot] = true;
  ClearLength(state_.room(*slot));
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
  std::memset(room, 0, sizeof(fuse_in_header));
  for (size_t page = 1; page < used_pages_[offered]; ++page) {
    std::memcpy(room + page * kPage, &kUntouched, sizeof kUntouched);
  }
  used_pages_[offered] = kPages;  // until it is known to be less
  return {room, kMaxRequest};
}

std::optional<InFlight::Received> InFlight::Deliver(size_t& offered, size_t size) {
  std::byte* room = state_.room(offered);
  used_pages_[offered] = (size + kPage - 1) / kPage;
  const fuse_in_header header = HeaderIn(room);
  if (!IsKept(header.opcode)) {
    if (header.opcode == FUSE_INTERRUPT && size >= sizeof header + sizeof(fuse_interrupt_in)) {
      fuse_interrupt_in whom{};
      std::memcpy(&whom, room + sizeof header, sizeof whom);
      MutexLock lock(mutex_);
      if (const auto found = slots_.find(whom.unique); found != slots_.end()) {
        requests_[found->second].interrupted = 1;
      }
    }
    if (header.opcode != FUSE_INIT) ClearLength(room);
    return Received{{room, size}, std::nullopt};
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
  if (moved) std::memcpy(state_.room(slot), room, size);
  SavedRequest& request = requests_[slot];
  request.length = static_cast<uint32_t>(size);
  request.unique = header.unique;
  request.arrival = arrival;
  request.opcode = header.opcode;
  request.attempts = request.interrupted = request.reply_size = request.note_size = 0;
  SetState(slot, RequestState::kDelivered);
  if (moved) ClearLength(room);
  MutexLock lock(mutex_);
  slots_[header.unique] = slot;
  return Received{{state_.room(slot), size}, slot};
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
  std::byte* room = state_.room(slot);
  std::memcpy(room + offsetof(fuse_in_header, opcode), &request.opcode, sizeof request.opcode);
  if (IsKept(request.opcode)) return Received{{room, request.length}, slot};
  {
    MutexLock lock(mutex_);
    slots_.erase(request.unique);
  }
  return Received{{room, request.length}, std::nullopt};
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
