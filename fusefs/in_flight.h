// The kernel's requests, from the moment they are read until they are answered, where a successor finds them.
//
//     free -> offered      read(2) may be under way
//     offered -> delivered it is whole. A successor executes it (again), in order of arrival
//     delivered -> begun   Begin: it is not idempotent and being executed now. A successor answers EIO
//     delivered -> noted   Begin with a note: a successor asks for what the note says once more
//     … -> answered        its answer is recorded, and written to the kernel next. A successor writes the same again
//     … -> free            the kernel has its answer
//
// Answers too long to be recorded are those of requests that change nothing: executed again, they are refused by the
// kernel (ENOENT) if they had arrived. Recorded before it is written: an answered write that was executed again could
// take the place of a newer one.
//
// FORGET, INTERRUPT and INIT have no answer that could be recorded: they are not kept. Of a FORGET that is lost between
// being read and being done a node remains in the table for longer than it must; an INTERRUPT is noted at its request.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "engine/base/mutex.h"
#include "fusefs/saved_state.h"

namespace flocker {

inline constexpr size_t kMaxWrite = size_t{1} << 20;     // told to the kernel (fuse_operations.cc)
inline constexpr size_t kMaxRequest = kMaxWrite + 4096;  // with its headers

// Requests are named by the index of their slot. Thread-safe; a slot that is offered or delivered has one owner.
class InFlight {
 public:
  static constexpr size_t kMaxNote = sizeof(SavedRequest::note);

  // Takes stock of what a predecessor left.
  explicit InFlight(SavedState& state);
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;

  // A slot for a receiver to read into, for as long as it receives; its pages are locked in memory, or a kill in the
  // middle of read(2) would make the kernel fail the request it was about to hand out.
  size_t Offer() EXCLUDES(mutex_);
  // Before every read: where to, with nothing there of an earlier request that could be mistaken for a part of the next
  // one. A WRITE's data arrive at the beginning of a page.
  std::span<std::byte> Room(size_t offered);

  struct Received {
    std::span<std::byte> bytes;
    std::optional<size_t> slot;  // none: it is not kept, and `bytes` are valid until the next Room
  };
  // A request of `size` bytes was read into `offered`, which may be another slot afterwards. Blocks while all slots are
  // in use; nullopt when Stop ended that (the request stays for a successor).
  std::optional<Received> Deliver(size_t& offered, size_t size) EXCLUDES(mutex_);
  void Stop() EXCLUDES(mutex_);

  // Its request may not be executed again from here on. Call it right before what changes something, on the thread that
  // does. During HandOver it never returns. With a note (at most kMaxNote bytes) a successor executes it again after
  // all, and is told the note: by it the same thing can be asked for without being done twice.
  void Begin(size_t slot, std::string_view note) EXCLUDES(mutex_);
  // Writes an answer to the kernel, as writev(2), and is done with the request it is for, if that was kept.
  ssize_t Answer(int device, const iovec* reply, int count) EXCLUDES(mutex_);

  // For an orderly end: lets nothing begin any more, and waits until what has begun without a note is answered. False
  // after `patience`.
  bool HandOver(absl::Duration patience) EXCLUDES(mutex_);

  // What the predecessor left, in order of arrival. Each is to be executed (Again, then its bytes) or finished.
  std::vector<size_t> Unfinished() const { return unfinished_; }
  RequestState state(size_t slot) const { return requests_[slot].state; }
  bool interrupted(size_t slot) const { return requests_[slot].interrupted != 0; }
  uint64_t unique(size_t slot) const { return requests_[slot].unique; }
  // The bytes as they were received, for one more attempt; nullopt when several processes have died of it already.
  std::optional<Received> Again(size_t slot);
  // Writes the recorded answer, or EIO when there is none.
  void Finish(int device, size_t slot) EXCLUDES(mutex_);
  // Is the request of that `unique` unfinished, and not known to be answered?
  bool Unanswered(uint64_t unique) const EXCLUDES(mutex_);

  // Around the processing of a request on the thread that received it: what Current answers meanwhile.
  class Processing {
   public:
    Processing(InFlight& in_flight, const Received& received);
    ~Processing();
    Processing(const Processing&) = delete;
    Processing& operator=(const Processing&) = delete;
  };
  struct Kept {
    InFlight* in_flight = nullptr;  // null: it is not kept
    size_t slot = 0;
    uint64_t unique = 0;
    std::string note;  // a predecessor's
  };
  static const Kept& Current();

 private:
  std::byte* BytesOf(size_t slot) const;
  bool TakeHot(size_t* slot) REQUIRES(mutex_);
  void Free(size_t slot) EXCLUDES(mutex_);
  void TakeStock();
  bool Complete(size_t slot) const;
  void SetState(size_t slot, RequestState state);

  SavedState& state_;
  const std::span<SavedRequest> requests_;
  const size_t hot_count_;  // the first slots: those that are read into
  const size_t spare_hot_;  // of them, those that are kept free for a successor's receivers
  std::vector<size_t> unfinished_;
  std::atomic<int> begun_{0};  // without a note, and not answered
  std::atomic<bool> handing_over_{false};

  mutable Mutex mutex_;
  CondVar changed_;
  std::vector<size_t> hot_ GUARDED_BY(mutex_);                      // free; the last that was freed is the next
  std::vector<size_t> cold_ GUARDED_BY(mutex_);                     // free
  std::vector<bool> locked_ GUARDED_BY(mutex_);                     // hot ones: in memory, by us
  absl::flat_hash_map<uint64_t, size_t> slots_ GUARDED_BY(mutex_);  // by `unique`
  uint64_t next_arrival_ GUARDED_BY(mutex_) = 1;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<size_t> used_pages_;  // of each hot slot: where an earlier request may have left bytes. Its owner's
};

}  // namespace flocker
