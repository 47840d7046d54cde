// The arena: where the kernel's requests live from the moment they are read until they are answered.
//
// One memfd, mapped shared, its descriptor also in the agent's hands, so that it outlives this process:
//
//     ArenaHeader   magic, version, where the rest is, the bytes of the connection's FUSE_INIT, and what a successor
//                   must know of the LUN and its grants: the same in all versions, which are versions of the rest
//     Slot[256]     one for every request that is in flight
//     data          the requests' bytes; of a READ also the room for its answer, right behind the request
//
// The data is used like a ring, except that what is still in flight is skipped: one slow flush does not stop the ring.
//
// The life of a slot, for whoever takes over after a crash:
//
//     free -> offered      its bytes' fuse_in_header was zeroed, read(2) may be under way
//     offered -> delivered the request is complete: execute it under its `unique`, in order of `arrival`
//     delivered -> free    it was answered. Written after the reply and before the next read: earlier would lose the
//                          request, later would let a replay overtake a newer write
//
// An offered slot whose header's `len` is not zero was delivered too, as the last one: the process died between the end
// of read(2), which a signal does not cut short in the middle of a request, and the next instruction.
#pragma once

#include <linux/fuse.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"

namespace flocker::lun {

inline constexpr size_t kMaxTransfer = size_t{1} << 20;      // of one READ or WRITE; FUSE's limit with max_pages 256
inline constexpr size_t kMaxRequest = kMaxTransfer + 4096;   // with its headers
inline constexpr uint64_t kArenaMagic = 0x00314e554c4b4c46;  // "FLKLUN1"
inline constexpr uint32_t kArenaVersion = 2;

struct ArenaHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t slot_count;
  uint64_t slots_offset;  // from the start of the file, as all offsets
  uint64_t data_offset;
  uint64_t data_size;
  uint32_t init_size;   // 0: FUSE_INIT has not been received yet
  uint32_t block_size;  // of the LUN; 0: its file was never mounted
  uint64_t size;        // of the LUN, bytes
  uint64_t epoch;       // of the latest grant: spent, whether or not its login came to anything
  char identity[264];   // of the LUN, as Geometry's
  std::byte init[184];  // the request, fuse_in_header first
};
static_assert(sizeof(ArenaHeader) == 512);

enum class SlotState : uint32_t { kFree = 0, kOffered = 1, kDelivered = 2 };

struct Slot {
  SlotState state;
  uint32_t length;  // of the request, bytes; what follows up to `capacity` is room for an answer
  uint64_t offset;
  uint64_t capacity;
  uint64_t arrival;  // 1, 2, 3, … in the order of delivery
  uint64_t reserved[4];
};
static_assert(sizeof(Slot) == 64);

// Not thread-safe. Slots are named by their index.
class Arena {
 public:
  // A new memfd of `data_size` bytes of data (at least one kMaxRequest) and `slot_count` slots, all touched.
  static absl::StatusOr<Arena> Create(size_t data_size, uint32_t slot_count);
  // The arena of a predecessor that is provably dead, as it left it. InvalidArgument when it is not one, or not whole:
  // then `fd` is still the caller's.
  static absl::StatusOr<Arena> Adopt(unique_fd&& fd);
  // A new arena, as Create's, after a predecessor, provably dead, whose requests this build cannot read: of its header
  // it keeps FUSE_INIT, the LUN and the epoch. The kernel still has the requests (FuseDevice::AskAgain).
  // InvalidArgument when not even the header is whole.
  static absl::StatusOr<Arena> CreateAfter(unique_fd predecessor, size_t data_size, uint32_t slot_count);

  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&&) = delete;
  ~Arena();

  // A slot with room for the largest request, the same one until it is delivered; nullopt while there is none.
  std::optional<uint32_t> Offer();
  // The offered slot holds a request of `length` bytes now; keeps `answer` bytes behind it and gives the rest back.
  void Deliver(uint32_t slot, size_t length, size_t answer);
  // Its request was answered.
  void Release(uint32_t slot);

  // The room of an offered slot, the request of a delivered one.
  std::span<std::byte> request(uint32_t slot);
  // Where a delivered request's answer goes.
  std::span<std::byte> answer(uint32_t slot);
  uint64_t arrival(uint32_t slot) const { return slots_[slot].arrival; }

  // What is to be done again after Adopt: the delivered slots, in their order of arrival …
  std::vector<uint32_t> Delivered() const;
  // … and after them the offered slot (Offer yields it), when a request of this length had arrived in it; else 0.
  size_t Arrived() const;

  // Keeps the bytes of FUSE_INIT for a successor. False when they are more than a header holds.
  bool SaveInit(std::span<const std::byte> request);
  // Keeps what the LUN behind the file is, before anybody can see the file. False when the identity is too long.
  bool SaveLun(std::string_view identity, uint32_t block_size, uint64_t size);
  // Keeps the epoch of a grant, before it is used.
  void SaveEpoch(uint64_t epoch);
  const ArenaHeader& header() const { return *header_; }

  uint32_t slot_count() const { return header_->slot_count; }
  uint32_t in_flight() const { return static_cast<uint32_t>(used_.size()) - (offered_ ? 1 : 0); }
  int fd() const { return fd_.get(); }

 private:
  struct Extent {
    uint64_t offset;  // within the data
    uint64_t size;
  };

  Arena(unique_fd fd, std::byte* base, size_t size);
  static absl::StatusOr<std::byte*> Map(const unique_fd& fd, size_t size);
  // Fills in the members below from a predecessor's slots.
  absl::Status TakeStock();
  bool Inside(const Slot& slot) const;
  std::optional<uint64_t> FindRoom() const;
  std::vector<Extent>::iterator ExtentOf(uint32_t slot);
  void SetState(uint32_t slot, SlotState state);

  unique_fd fd_;
  std::byte* base_;
  size_t size_;
  ArenaHeader* header_;
  std::span<Slot> slots_;
  std::vector<uint32_t> free_;
  std::vector<Extent> used_;  // what offered and delivered slots cover, by offset
  std::optional<uint32_t> offered_;
  uint64_t cursor_ = 0;  // where the search for room starts: behind the latest request
  uint64_t next_arrival_ = 1;
};

}  // namespace flocker::lun
