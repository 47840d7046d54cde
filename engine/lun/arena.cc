#include "engine/lun/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace flocker::lun {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kAlign = 64;  // a cache line: neighbours do not share one

constexpr uint64_t RoundUp(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

// One process serves from an arena: the lock is the process's, is not inherited, and ends with it (fcntl(2)).
absl::Status Claim(const unique_fd& fd) {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (fcntl(fd.get(), F_SETLK, &whole) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, "another flocker-lun serves from this arena");
}

// What every version promises.
bool IsHeader(const ArenaHeader& header) {
  return header.magic == kArenaMagic && header.init_size <= sizeof header.init &&
         header.identity[sizeof header.identity - 1] == '\0';
}

}  // namespace

absl::StatusOr<Arena> Arena::Create(size_t data_size, uint32_t slot_count) {
  if (data_size < kMaxRequest || data_size % kPage != 0 || slot_count == 0) {
    return Refuse(Cause::kInvalid, absl::StrCat("an arena of ", data_size, " bytes and ", slot_count, " slots"));
  }
  const uint64_t data_offset = RoundUp(sizeof(ArenaHeader) + slot_count * sizeof(Slot), kPage);
  const size_t size = data_offset + data_size;
  unique_fd fd(memfd_create("flocker-lun-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return ErrnoStatus(errno, "cannot create the arena's memfd");
  // Sealed, or whoever holds the descriptor could shrink it under us: SIGBUS.
  if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0 ||
      fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot size the arena to ", size, " bytes"));
  }
  RETURN_IF_ERROR(Claim(fd));
  ASSIGN_OR_RETURN(std::byte * base, Map(fd, size));
  auto* header = reinterpret_cast<ArenaHeader*>(base);
  header->version = kArenaVersion;
  header->slot_count = slot_count;
  header->slots_offset = sizeof(ArenaHeader);
  header->data_offset = data_offset;
  header->data_size = data_size;
  header->magic = kArenaMagic;
  Arena arena(std::move(fd), base, size);
  for (uint32_t i = slot_count; i > 0; --i) arena.free_.push_back(i - 1);
  return arena;
}

absl::StatusOr<Arena> Arena::Adopt(unique_fd&& fd) {
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) return ErrnoStatus(errno, "cannot look at the predecessor's arena");
  RETURN_IF_ERROR(Claim(fd));
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size < sizeof(ArenaHeader)) return Refuse(Cause::kInvalid, "the predecessor's arena is too small to be one");
  ASSIGN_OR_RETURN(std::byte * base, Map(fd, size));
  const auto* header = reinterpret_cast<const ArenaHeader*>(base);
  const bool whole = IsHeader(*header) && header->version == kArenaVersion && header->slot_count != 0 &&
                     header->slots_offset == sizeof(ArenaHeader) && header->data_offset < size &&
                     header->slots_offset + header->slot_count * sizeof(Slot) <= header->data_offset &&
                     header->data_size == size - header->data_offset;
  if (!whole) {
    const uint32_t version = header->version;
    munmap(base, size);
    return Refuse(Cause::kInvalid, absl::StrCat("not an arena of version ", kArenaVersion, " (version ", version, ", ",
                                                size, " bytes)"));
  }
  Arena arena(std::move(fd), base, size);
  if (absl::Status whole_slots = arena.TakeStock(); !whole_slots.ok()) {
    fd = std::move(arena.fd_);
    return whole_slots;
  }
  return arena;
}

absl::StatusOr<Arena> Arena::CreateAfter(unique_fd predecessor, size_t data_size, uint32_t slot_count) {
  RETURN_IF_ERROR(Claim(predecessor));
  ArenaHeader kept;
  if (pread(predecessor.get(), &kept, sizeof kept, 0) != sizeof kept || !IsHeader(kept)) {
    return Refuse(Cause::kInvalid, "the predecessor's arena does not even begin like one");
  }
  ASSIGN_OR_RETURN(Arena arena, Create(data_size, slot_count));
  ArenaHeader& header = *arena.header_;
  std::memcpy(header.init, kept.init, sizeof header.init);
  std::memcpy(header.identity, kept.identity, sizeof header.identity);
  header.init_size = kept.init_size;
  header.block_size = kept.block_size;
  header.size = kept.size;
  header.epoch = kept.epoch;
  return arena;
}

absl::StatusOr<std::byte*> Arena::Map(const unique_fd& fd, size_t size) {
  void* base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd.get(), 0);
  if (base == MAP_FAILED) return ErrnoStatus(errno, absl::StrCat("cannot map the arena of ", size, " bytes"));
  return static_cast<std::byte*>(base);
}

bool Arena::Inside(const Slot& slot) const {
  return slot.offset >= header_->data_offset && slot.length <= slot.capacity && slot.capacity <= header_->data_size &&
         slot.offset - header_->data_offset <= header_->data_size - slot.capacity;
}

absl::Status Arena::TakeStock() {
  for (uint32_t i = header_->slot_count; i > 0; --i) {
    const uint32_t index = i - 1;
    Slot& slot = slots_[index];
    // Perhaps it was on its way to being delivered, and already made smaller; nothing can have come behind it yet.
    if (slot.state == SlotState::kOffered) slot.capacity = kMaxRequest;
    if (slot.state != SlotState::kFree && !Inside(slot)) {
      return Refuse(Cause::kInvalid, absl::StrCat("slot ", index, " of the arena lies outside of it"));
    }
    if (slot.state == SlotState::kOffered) {
      offered_ = index;
      if (Arrived() == 0) {  // nothing was read into it
        offered_.reset();
        SetState(index, SlotState::kFree);
      }
    }
    if (slot.state == SlotState::kFree) {
      free_.push_back(index);
      continue;
    }
    used_.push_back({slot.offset - header_->data_offset, slot.capacity});
    next_arrival_ = std::max(next_arrival_, slot.arrival + 1);
  }
  std::sort(used_.begin(), used_.end(), [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
  for (size_t i = 1; i < used_.size(); ++i) {
    if (used_[i].offset < used_[i - 1].offset + used_[i - 1].size) {
      return Refuse(Cause::kInvalid, "requests in the arena overlap");
    }
  }
  return absl::OkStatus();
}

std::vector<uint32_t> Arena::Delivered() const {
  std::vector<uint32_t> delivered;
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].state == SlotState::kDelivered) delivered.push_back(i);
  }
  std::sort(delivered.begin(), delivered.end(),
            [this](uint32_t a, uint32_t b) { return slots_[a].arrival < slots_[b].arrival; });
  return delivered;
}

size_t Arena::Arrived() const {
  if (!offered_) return 0;
  fuse_in_header header;
  std::memcpy(&header, base_ + slots_[*offered_].offset, sizeof header);
  return std::min<size_t>(header.len, kMaxRequest);
}

Arena::Arena(unique_fd fd, std::byte* base, size_t size)
    : fd_(std::move(fd)),
      base_(base),
      size_(size),
      header_(reinterpret_cast<ArenaHeader*>(base)),
      slots_(reinterpret_cast<Slot*>(base + header_->slots_offset), header_->slot_count) {
  free_.reserve(slots_.size());
  used_.reserve(slots_.size());
}

Arena::Arena(Arena&& other) noexcept
    : fd_(std::move(other.fd_)),
      base_(std::exchange(other.base_, nullptr)),
      size_(other.size_),
      header_(other.header_),
      slots_(other.slots_),
      free_(std::move(other.free_)),
      used_(std::move(other.used_)),
      offered_(other.offered_),
      cursor_(other.cursor_),
      next_arrival_(other.next_arrival_) {}

Arena::~Arena() {
  if (base_ != nullptr) munmap(base_, size_);
}

void Arena::SetState(uint32_t slot, SlotState state) {
  // A successor reads this after our death: everything written before must be there when the state is.
  std::atomic_ref<SlotState>(slots_[slot].state).store(state, std::memory_order_release);
}

std::optional<uint64_t> Arena::FindRoom() const {
  uint64_t at = cursor_;
  for (int pass = 0; pass < 2; ++pass) {
    auto next = std::partition_point(used_.begin(), used_.end(),
                                     [at](const Extent& extent) { return extent.offset + extent.size <= at; });
    for (; at + kMaxRequest <= header_->data_size; ++next) {
      if (next == used_.end() || at + kMaxRequest <= next->offset) return at;
      at = next->offset + next->size;
    }
    at = 0;
  }
  return std::nullopt;
}

std::optional<uint32_t> Arena::Offer() {
  if (offered_) return offered_;
  if (free_.empty()) return std::nullopt;
  const auto room = FindRoom();
  if (!room) return std::nullopt;
  const uint32_t index = free_.back();
  free_.pop_back();
  Slot& slot = slots_[index];
  slot.length = 0;
  slot.offset = header_->data_offset + *room;
  slot.capacity = kMaxRequest;
  std::memset(base_ + slot.offset, 0, sizeof(fuse_in_header));
  SetState(index, SlotState::kOffered);
  const auto at =
      std::partition_point(used_.begin(), used_.end(), [&](const Extent& extent) { return extent.offset < *room; });
  used_.insert(at, {*room, kMaxRequest});
  offered_ = index;
  return index;
}

std::vector<Arena::Extent>::iterator Arena::ExtentOf(uint32_t slot) {
  const uint64_t offset = slots_[slot].offset - header_->data_offset;
  return std::partition_point(used_.begin(), used_.end(),
                              [offset](const Extent& extent) { return extent.offset < offset; });
}

void Arena::Deliver(uint32_t index, size_t length, size_t answer) {
  Slot& slot = slots_[index];
  const uint64_t capacity = RoundUp(length, kAlign) + RoundUp(answer, kAlign);
  slot.length = static_cast<uint32_t>(length);
  slot.capacity = std::min<uint64_t>(capacity, kMaxRequest);
  slot.arrival = next_arrival_++;
  SetState(index, SlotState::kDelivered);
  const auto extent = ExtentOf(index);
  extent->size = slot.capacity;
  cursor_ = extent->offset + extent->size;
  offered_.reset();
}

void Arena::Release(uint32_t index) {
  SetState(index, SlotState::kFree);
  used_.erase(ExtentOf(index));
  free_.push_back(index);
}

std::span<std::byte> Arena::request(uint32_t slot) {
  const Slot& s = slots_[slot];
  return {base_ + s.offset, s.state == SlotState::kOffered ? s.capacity : s.length};
}

std::span<std::byte> Arena::answer(uint32_t slot) {
  const Slot& s = slots_[slot];
  const uint64_t skip = RoundUp(s.length, kAlign);
  if (skip >= s.capacity) return {};
  return {base_ + s.offset + skip, s.capacity - skip};
}

bool Arena::SaveInit(std::span<const std::byte> request) {
  if (request.size() > sizeof header_->init) return false;
  std::memcpy(header_->init, request.data(), request.size());
  header_->init_size = static_cast<uint32_t>(request.size());
  return true;
}

bool Arena::SaveLun(std::string_view identity, uint32_t block_size, uint64_t size) {
  if (identity.size() >= sizeof header_->identity) return false;
  std::memset(header_->identity, 0, sizeof header_->identity);
  std::memcpy(header_->identity, identity.data(), identity.size());
  header_->size = size;
  header_->block_size = block_size;
  return true;
}

void Arena::SaveEpoch(uint64_t epoch) {
  std::atomic_ref<uint64_t>(header_->epoch).store(epoch, std::memory_order_release);
}

}  // namespace flocker::lun
