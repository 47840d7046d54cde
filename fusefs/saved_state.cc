#include "fusefs/saved_state.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/base/status.h"

namespace flocker {
namespace {

constexpr uint64_t kPage = 4096;

uint64_t RoundUp(uint64_t n) { return (n + kPage - 1) / kPage * kPage; }

// From the start of the file.
struct Layout {
  uint64_t nodes, places, handles, gates, requests, rooms, size;
};

Layout LayoutOf(const SavedState::Capacity& capacity) {
  Layout at{};
  at.nodes = RoundUp(sizeof(SavedHeader));
  at.places = RoundUp(at.nodes + capacity.nodes * sizeof(SavedNode));
  at.handles = RoundUp(at.places + capacity.places * sizeof(SavedPlace));
  at.gates = RoundUp(at.handles + capacity.handles * sizeof(SavedHandle));
  at.requests = RoundUp(at.gates + capacity.gates * sizeof(SavedGate));
  at.rooms = RoundUp(at.requests + capacity.requests * sizeof(SavedRequest));
  at.size = at.rooms + capacity.requests * SavedState::kRequestRoom;
  return at;
}

// One process serves from it: the lock is the process's, is not inherited, and ends with it (fcntl(2)).
absl::Status Claim(const unique_fd& memory) {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (fcntl(memory.get(), F_SETLK, &whole) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError("another flocker-fs serves from the memory that was handed over");
}

absl::StatusOr<std::byte*> Map(const unique_fd& memory, uint64_t size) {
  void* base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memory.get(), 0);
  if (base == MAP_FAILED) return ErrnoStatus(errno, absl::StrCat("map ", size, " bytes of saved state"));
  madvise(base, size, MADV_DONTDUMP);
  return static_cast<std::byte*>(base);
}

}  // namespace

void SaveId(std::string_view uuid, SavedId& to) {
  std::memset(to, 0, sizeof to);
  if (uuid.empty()) return;
  const std::string raw = absl::HexStringToBytes(absl::StrReplaceAll({uuid.data(), uuid.size()}, {{"-", ""}}));
  std::memcpy(to, raw.data(), std::min(raw.size(), sizeof to));
}

std::string LoadId(const SavedId& from) {
  if (std::all_of(std::begin(from), std::end(from), [](uint8_t byte) { return byte == 0; })) return {};
  std::string text = absl::BytesToHexString({reinterpret_cast<const char*>(from), sizeof from});
  for (const size_t at : {8U, 13U, 18U, 23U}) text.insert(at, 1, '-');
  return text;
}

absl::StatusOr<unique_fd> SavedState::NewMemory() {
  unique_fd memory(memfd_create("flocker-fs-state", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return ErrnoStatus(errno, "create a memfd for what a successor needs");
  return memory;
}

absl::StatusOr<std::unique_ptr<SavedState>> SavedState::Create(unique_fd memory, const Capacity& capacity) {
  RETURN_IF_ERROR(Claim(memory));
  const Layout at = LayoutOf(capacity);
  // Sealed, or whoever holds the descriptor could shrink it under us: SIGBUS.
  if (ftruncate(memory.get(), static_cast<off_t>(at.size)) != 0 ||
      fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return ErrnoStatus(errno, absl::StrCat("size the saved state to ", at.size, " bytes"));
  }
  ASSIGN_OR_RETURN(std::byte * base, Map(memory, at.size));
  auto* header = reinterpret_cast<SavedHeader*>(base);
  header->nodes = capacity.nodes;
  header->places = capacity.places;
  header->handles = capacity.handles;
  header->gates = capacity.gates;
  header->requests = capacity.requests;
  header->version = kSavedVersion;
  std::atomic_ref<uint64_t>(header->magic).store(kSavedMagic, std::memory_order_release);
  return std::unique_ptr<SavedState>(new SavedState(std::move(memory), base, at.size));
}

absl::Status SavedState::CheckThatItFits(const unique_fd& memory) {
  struct stat about {};
  SavedHeader header{};
  if (fstat(memory.get(), &about) != 0) return ErrnoStatus(errno, "look at the predecessor's state");
  const ssize_t got = pread(memory.get(), &header, sizeof header, 0);
  if (got < 0) return ErrnoStatus(errno, "read the predecessor's state");
  const auto size = static_cast<uint64_t>(about.st_size);
  const bool fits =
      got == sizeof header && header.magic == kSavedMagic && header.version == kSavedVersion &&
      std::max({header.nodes, header.places, header.handles, header.gates, header.requests}) <= (uint64_t{1} << 32) &&
      LayoutOf({header.nodes, header.places, header.handles, header.gates, header.requests}).size == size &&
      header.nodes_used <= header.nodes && header.places_used <= header.places &&
      header.handles_used <= header.handles && header.gates_used <= header.gates &&
      header.init_size <= sizeof header.init && header.welcome <= 2;
  if (fits) return absl::OkStatus();
  return Refuse(Cause::kInvalid, absl::StrCat("no saved state of version ", kSavedVersion, " (version ", header.version,
                                              ", ", size, " bytes)"));
}

absl::StatusOr<std::unique_ptr<SavedState>> SavedState::Inherit(unique_fd memory) {
  RETURN_IF_ERROR(Claim(memory));
  RETURN_IF_ERROR(CheckThatItFits(memory));
  struct stat about {};
  if (fstat(memory.get(), &about) != 0) return ErrnoStatus(errno, "look at the predecessor's state");
  const auto size = static_cast<uint64_t>(about.st_size);
  ASSIGN_OR_RETURN(std::byte * base, Map(memory, size));
  ++reinterpret_cast<SavedHeader*>(base)->incarnation;
  return std::unique_ptr<SavedState>(new SavedState(std::move(memory), base, size));
}

SavedState::SavedState(unique_fd memory, std::byte* base, uint64_t size)
    : memory_(std::move(memory)), base_(base), size_(size), header_(reinterpret_cast<SavedHeader*>(base)) {
  const Layout at = LayoutOf({header_->nodes, header_->places, header_->handles, header_->gates, header_->requests});
  nodes_ = std::make_unique<SavedArray<SavedNode>>(reinterpret_cast<SavedNode*>(base + at.nodes), header_->nodes,
                                                   &header_->nodes_used);
  places_ = std::make_unique<SavedArray<SavedPlace>>(reinterpret_cast<SavedPlace*>(base + at.places), header_->places,
                                                     &header_->places_used);
  handles_ = std::make_unique<SavedArray<SavedHandle>>(reinterpret_cast<SavedHandle*>(base + at.handles),
                                                       header_->handles, &header_->handles_used);
  gates_ = std::make_unique<SavedArray<SavedGate>>(reinterpret_cast<SavedGate*>(base + at.gates), header_->gates,
                                                   &header_->gates_used);
  requests_ = {reinterpret_cast<SavedRequest*>(base + at.requests), header_->requests};
  rooms_ = base + at.rooms;
}

SavedState::~SavedState() { munmap(base_, size_); }

void SavedState::Discard(size_t request) {
  const auto at = static_cast<off_t>(room(request) - base_);
  // When it fails the memory stays in use until the next time.
  static_cast<void>(fallocate(memory_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, kRequestRoom));
}

absl::Status SavedState::SaveInit(std::span<const std::byte> request) {
  if (request.size() > sizeof header_->init) {
    return absl::InternalError(absl::StrCat("FUSE_INIT of ", request.size(), " bytes is more than can be saved"));
  }
  std::memcpy(header_->init, request.data(), request.size());
  std::atomic_ref<uint32_t>(header_->init_size).store(static_cast<uint32_t>(request.size()), std::memory_order_release);
  return absl::OkStatus();
}

std::string_view SavedState::welcome() const {
  if (header_->welcome == 0) return {};
  const uint32_t last = header_->welcome - 1;
  return {header_->welcomes[last], std::min<size_t>(header_->welcome_size[last], sizeof header_->welcomes[last])};
}

void SavedState::SaveWelcome(std::string_view welcome) {
  const uint32_t next = header_->welcome == 1 ? 1 : 0;
  if (welcome.size() > sizeof header_->welcomes[next]) return;
  std::memcpy(header_->welcomes[next], welcome.data(), welcome.size());
  header_->welcome_size[next] = static_cast<uint32_t>(welcome.size());
  std::atomic_ref<uint32_t>(header_->welcome).store(next + 1, std::memory_order_release);
}

}  // namespace flocker
