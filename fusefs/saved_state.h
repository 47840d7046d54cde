// What a successor on the same mount needs to know, in a memfd that outlives this process (TAKEOVER.md).
//
//     SavedHeader   magic, version, where the rest is, FUSE_INIT, the agent's last welcome
//     SavedNode[]   what the kernel's node ids stand for                          InodeTable
//     SavedPlace[]  where the tree shows a dataset that has a node id             InodeTable
//     SavedHandle[] what is open                                                  OpenFiles
//     SavedGate[]   datasets whose door is shut                                   Datasets
//     SavedRequest[], and 2 MiB of room for each: what was read and not answered  InFlight
//
// The file is sparse and as large as it can ever become (about 70 GiB); what was never touched takes no memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/base/unique_fd.h"
#include "engine/model/ids.h"
#include "fusefs/saved_array.h"

namespace flocker {

inline constexpr uint64_t kSavedMagic = 0x0031534653464c46;  // "FLFSFS1"
// Of the layout, and of all that a successor takes for granted: also of what we answer to FUSE_INIT (fuse_operations).
inline constexpr uint32_t kSavedVersion = 4;

using SavedId = uint8_t[16];  // a UUID's bytes; zeros: none
void SaveId(std::string_view uuid, SavedId& to);
std::string LoadId(const SavedId& from);  // its text, empty for none

// A file handle of ext4 has 8 bytes. A longer one is not saved, and what it names is stale after a takeover.
struct SavedFileHandle {
  static constexpr size_t kMax = 16;
  int32_t type;
  uint8_t size;
  uint8_t reserved[3];
  uint8_t bytes[kMax];
};

struct SavedNode {
  uint64_t key;  // the node id
  uint64_t lookups;
  SavedId id;  // of the node or dataset it is about
  uint32_t serial;
  uint8_t kind;  // InodeKind
  uint8_t file;  // InfoFile
  uint8_t reserved[2];
  SavedFileHandle handle;
  uint64_t from;  // Inode::from
};
static_assert(sizeof(SavedNode) == 72);

struct SavedPlace {
  uint64_t key;       // the node id of a dataset's directory
  uint64_t sequence;  // two of one id: the later one holds
  SavedId node;
  uint8_t name_size;
  char name[223];
};
static_assert(sizeof(SavedPlace) == 256);

struct SavedHandle {
  uint64_t key;      // the handle
  uint64_t request;  // the `unique` of the request that opened it
  SavedId dataset;
  uint32_t serial;
  int32_t flags;           // for open(2); O_DIRECTORY for a directory
  SavedFileHandle handle;  // none (size 0): the dataset's root
};
static_assert(sizeof(SavedHandle) == 64);

struct SavedGate {
  uint64_t key;  // 1
  SavedId dataset;
};

enum class RequestState : uint32_t {
  kFree = 0,
  kOffered = 1,    // read(2) may be under way
  kDelivered = 2,  // it may be executed, and executed again
  kBegun = 3,      // it is being executed, and must not be again
  kAnswered = 4,   // `reply` is its answer, sent or not
  kNoted = 5,      // it is being executed; what `note` says may be asked for again
};

struct SavedRequest {
  RequestState state;
  uint32_t length;
  uint64_t unique;
  uint64_t arrival;   // 1, 2, 3, … in the order of delivery
  uint32_t opcode;    // as the kernel sent it: for libfuse it may have been changed in place
  uint32_t attempts;  // how many successors have executed it again
  uint32_t interrupted;
  uint32_t reply_size;
  uint32_t note_size;
  char reply[472];
  char note[508];  // beside the reply: that is written while the note still counts
};
static_assert(sizeof(SavedRequest) == 1024);

struct SavedHeader {
  uint64_t magic;
  uint32_t version;
  uint32_t incarnation;                              // how many processes have taken over
  uint64_t nodes, places, handles, gates, requests;  // how many of each there can be
  uint64_t nodes_used, places_used, handles_used, gates_used;
  uint32_t init_size;  // 0: FUSE_INIT has not been received yet
  uint32_t welcome;    // which of the two is the last one: 1 or 2; 0: none
  std::byte init[256];
  uint32_t welcome_size[2];
  char welcomes[2][8192];
};
static_assert(sizeof(SavedHeader) <= 32768);

// Its parts belong each to the class named above, and are not locked here.
class SavedState {
 public:
  struct Capacity {
    uint64_t nodes = uint64_t{1} << 26;
    uint64_t places = uint64_t{1} << 20;
    uint64_t handles = uint64_t{1} << 20;
    uint64_t gates = 4096;
    uint64_t requests = 32768;
  };
  static constexpr uint64_t kRequestRoom = uint64_t{2} << 20;

  // Makes a new one in `memory`, an empty memfd. FailedPrecondition when another process serves from it.
  static absl::StatusOr<std::unique_ptr<SavedState>> Create(unique_fd memory, const Capacity& capacity);
  static absl::StatusOr<std::unique_ptr<SavedState>> Create(unique_fd memory) { return Create(std::move(memory), {}); }
  static absl::StatusOr<unique_fd> NewMemory();
  // InvalidArgument when it is not what a flocker-fs has saved, or of another version. It may be in use.
  static absl::Status CheckThatItFits(const unique_fd& memory);
  // What a dead predecessor left. Errors: CheckThatItFits's; FailedPrecondition when another process serves from it.
  static absl::StatusOr<std::unique_ptr<SavedState>> Inherit(unique_fd memory);
  ~SavedState();
  SavedState(const SavedState&) = delete;
  SavedState& operator=(const SavedState&) = delete;

  // 0 for the first process on a mount.
  uint32_t incarnation() const { return header_->incarnation; }
  // Where ids and handles begin that no predecessor on this mount has given out.
  uint64_t first_id() const { return uint64_t{header_->incarnation} << 40; }

  SavedArray<SavedNode>& nodes() { return *nodes_; }
  SavedArray<SavedPlace>& places() { return *places_; }
  SavedArray<SavedHandle>& handles() { return *handles_; }
  SavedArray<SavedGate>& gates() { return *gates_; }
  std::span<SavedRequest> requests() { return requests_; }
  std::byte* room(size_t request) { return rooms_ + request * kRequestRoom; }
  // Gives back the memory of a request's room.
  void Discard(size_t request);

  // FUSE_INIT as it was received; empty before that.
  std::span<const std::byte> init() const { return {header_->init, header_->init_size}; }
  absl::Status SaveInit(std::span<const std::byte> request);
  std::string_view welcome() const;
  // One that is too long is not saved: a successor then waits for its own.
  void SaveWelcome(std::string_view welcome);

 private:
  SavedState(unique_fd memory, std::byte* base, uint64_t size);

  const unique_fd memory_;
  std::byte* const base_;
  const uint64_t size_;
  SavedHeader* const header_;
  std::unique_ptr<SavedArray<SavedNode>> nodes_;
  std::unique_ptr<SavedArray<SavedPlace>> places_;
  std::unique_ptr<SavedArray<SavedHandle>> handles_;
  std::unique_ptr<SavedArray<SavedGate>> gates_;
  std::span<SavedRequest> requests_;
  std::byte* rooms_ = nullptr;
};

}  // namespace flocker
