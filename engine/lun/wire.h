// What flocker-lun and the agent say to each other, over one SOCK_SEQPACKET unix socket on which flocker-lun listens.
//
// Every packet is one of the structs below, exactly as it lies in memory: both ends are the same build on the same
// machine, and a process with locked memory should parse nothing. A packet with another magic, version, kind or size is
// refused and the connection closed. The newest connection is the agent; an older one is closed.
//
//   agent                                     flocker-lun
//     connect ------------------------------>
//     <------------------------------ kHello, with two descriptors: /dev/fuse and the arena
//     kLogin{epoch, portal, secret…} ------->                 logs in, mounts the file (the first time)
//     <------------------------------ kReady                  the file is there
//                                                             … the session breaks: requests wait
//     <------------------------------ kSessionLost{epoch}
//     kLogin{a later epoch, new secret} ---->                 logs in, checks the identity, re-issues
//     <------------------------------ kResumed{epoch}         (or kSessionLost with that epoch)
//                                                             … flocker-lun dies, or was told kHandOver
//     agent starts a successor with a connection, both descriptors: it begins broken, and goes on as above
//     kStop -------------------------------->
//     <------------------------------ kStopped                and it exits with 0
//
// On every connection kHello comes first. If the session is broken or writes are held at that moment, kSessionLost and
// kWriteFailed follow it: an agent that was away misses nothing it must act on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <variant>

#include "absl/status/statusor.h"

namespace flocker::lun {

inline constexpr uint32_t kWireMagic = 0x4e554c46;  // "FLUN"
inline constexpr uint16_t kWireVersion = 2;
inline constexpr size_t kMaxMessageSize = 1024;  // of every packet, in both directions

// Text in a fixed field: padded with NULs, always ending in one.
template <size_t N>
struct Text {
  char bytes[N];

  // False, and nothing stored, when it does not fit or holds a NUL.
  bool Set(std::string_view text) {
    if (text.size() >= N || text.find('\0') != std::string_view::npos) return false;
    std::memset(bytes, 0, N);
    std::memcpy(bytes, text.data(), text.size());
    return true;
  }
  // Stores as much as fits.
  void SetCut(std::string_view text) { Set(text.substr(0, N - 1)); }
  bool ends() const { return bytes[N - 1] == '\0'; }
  std::string_view view() const { return {bytes, strnlen(bytes, N)}; }
};

enum class Kind : uint16_t {
  // agent -> flocker-lun
  kLogin = 1,
  kControlAway = 2,
  kControlBack = 3,
  kFence = 4,
  kResize = 5,
  kStop = 6,
  kVerdict = 7,
  kGetStatus = 8,
  kHandOver = 9,
  // flocker-lun -> agent
  kHello = 32,
  kStatus = 33,
  kReady = 34,
  kSessionLost = 35,
  kResumed = 36,
  kWriteFailed = 37,
  kIoTimedOut = 38,
  kFenced = 39,
  kStopped = 40,
  kFailed = 41,
};

struct Header {
  uint32_t magic;
  uint16_t version;
  Kind kind;
  uint32_t size;  // of the whole packet, bytes
  uint32_t reserved;
};
static_assert(sizeof(Header) == 16);

// ---- agent -> flocker-lun ----

// The grant to log in with: the first one, and every renewal. It is used for one login only; `epoch` must be later than
// that of the grant before it, for a session is never opened twice under one grant. Refused (kFailed) while a session
// is up, after kFence and while stopping. The secret travels here and nowhere else.
struct Login {
  static constexpr Kind kKind = Kind::kLogin;
  Header header;
  uint64_t epoch;
  uint32_t lun;
  uint32_t reserved;
  Text<128> portal;     // address:port; empty: the LUN is a file of this machine, and `target` its path
  Text<224> target;     // IQN (RFC 7143 §4.2.7: at most 223 bytes)
  Text<224> initiator;  // IQN
  Text<64> chap_user;   // empty: no CHAP
  Text<64> chap_secret;
};
static_assert(sizeof(Login) == 736);

// The control plane cannot be reached: the io_timeout clock stops. kControlBack starts it again from zero.
struct ControlAway {
  static constexpr Kind kKind = Kind::kControlAway;
  Header header;
};
struct ControlBack {
  static constexpr Kind kKind = Kind::kControlBack;
  Header header;
};

// This attachment is over: every request fails with EIO from now on, for good, and the session is dropped without a
// logout. Answered by kFenced. What remains is kStop.
struct Fence {
  static constexpr Kind kKind = Kind::kFence;
  Header header;
};

// Read the LUN's capacity again; answered by kReady with the size (in a broken session: by the kResumed to come).
struct Resize {
  static constexpr Kind kKind = Kind::kResize;
  Header header;
};

// Unmount the file, log out, exit. Refused (kFailed) while the file is in use, unless `lazy`: then the mount is
// detached from the tree, whoever still has the file open gets ENOTCONN once all copies of the descriptor are closed.
struct Stop {
  static constexpr Kind kKind = Kind::kStop;
  Header header;
  uint32_t lazy;
  uint32_t reserved;
};

// What to do with all writes held since kWriteFailed.
struct Verdict {
  static constexpr Kind kKind = Kind::kVerdict;
  Header header;
  uint32_t retry;  // 1: issue them again, there is room; 0: fail them with their errno
  uint32_t reserved;
};

// Read nothing more from the kernel, finish what is at the LUN, log out, exit with code 0 and leave the mount, and what
// is still in the arena, to the successor that the agent starts. Refused (kFailed) unless kServing. Without an agent
// connected at the end it goes on as with a broken session.
struct HandOver {
  static constexpr Kind kKind = Kind::kHandOver;
  Header header;
};

// Answered by kStatus.
struct GetStatus {
  static constexpr Kind kKind = Kind::kGetStatus;
  Header header;
};

// ---- flocker-lun -> agent ----

enum class State : uint32_t {
  kAwaitingLogin = 0,  // no grant yet; nothing is mounted
  kConnecting = 1,     // logging in or checking the LUN; requests wait
  kServing = 2,
  kBroken = 3,  // the session is gone; requests wait for a renewal, or fail when io_timeout is over
  kFenced = 4,
  kStopping = 5,
  kHandingOver = 6,
};

struct Counters {
  uint64_t reads;
  uint64_t read_bytes;
  uint64_t writes;
  uint64_t written_bytes;
  uint64_t flushes;
  uint64_t discards;  // FALLOCATE requests
  uint64_t errors;    // requests answered with an error
  uint64_t reissued;  // requests issued again after a renewal
};

// kHello (with descriptors) and kStatus (without) have one layout.
struct Status {
  static constexpr Kind kKind = Kind::kStatus;
  Header header;
  State state;
  int32_t pid;
  uint64_t mount_epoch;  // of --mount-epoch: names this mount
  uint64_t epoch;        // of the latest kLogin; 0: none yet
  uint64_t size;         // bytes; 0: not known yet
  uint32_t block_size;   // bytes; 0: not known yet
  uint32_t mounted;      // 1: the file is mounted
  uint32_t in_flight;    // requests of the kernel not answered yet
  uint32_t held_writes;  // of them, those waiting for a kVerdict
  Text<40> dataset;
  Text<136> node;
  Text<264> identity;  // VPD 0x83 as "<type>:<hex>"; empty: not known yet
  Counters counters;
};
struct Hello : Status {
  static constexpr Kind kKind = Kind::kHello;
};
static_assert(sizeof(Status) == 568 && sizeof(Hello) == sizeof(Status));

// The file is mounted and serves. Once after the first login, and as the answer to kResize.
struct Ready {
  static constexpr Kind kKind = Kind::kReady;
  Header header;
  uint64_t epoch;
  uint64_t size;  // bytes
  uint32_t block_size;
  uint32_t reserved;
};
static_assert(sizeof(Ready) == 40);

enum class Loss : uint32_t {
  kConnection = 1,    // the TCP connection ended or could not be made
  kLoginRefused = 2,  // the target said no: name, ACL or secret
  kTaskTimeout = 3,   // a command was not answered within --task-timeout, so the session was cut
  kIdentity = 4,      // behind the grant is another LUN, or a smaller one: nothing was issued to it
  kReservation = 5,   // another initiator holds a reservation
  kProtocol = 6,      // the LUN or target answered what it must not
  kMount = 7,         // the LUN is fine, but its file could not be mounted; nothing was issued to it
};

// The session under `epoch` is closed here (not: known to be gone at the array) and its grant is spent.
struct SessionLost {
  static constexpr Kind kKind = Kind::kSessionLost;
  Header header;
  uint64_t epoch;
  Loss loss;
  uint32_t in_flight;  // requests that wait
  Text<256> reason;
};
static_assert(sizeof(SessionLost) == 288);

struct Resumed {
  static constexpr Kind kKind = Kind::kResumed;
  Header header;
  uint64_t epoch;
  uint64_t size;       // bytes; it may have grown
  uint64_t paused_ms;  // since the session broke
  uint64_t reissued;   // requests
};
static_assert(sizeof(Resumed) == 48);

// A write was answered with an error that a full pool causes too (tgt: MEDIUM ERROR for everything). It is held, and so
// is every later one that fails so, until kVerdict or io_timeout. Sent once for the first that is held.
struct WriteFailed {
  static constexpr Kind kKind = Kind::kWriteFailed;
  Header header;
  uint64_t offset;  // bytes
  uint64_t length;  // bytes
  uint32_t sense_key;
  uint32_t sense_ascq;  // 0x2707: additional sense code 27h, qualifier 07h
};
static_assert(sizeof(WriteFailed) == 40);

// io_timeout is over: `failed` requests were answered with EIO, and so is every new one until a renewal.
struct IoTimedOut {
  static constexpr Kind kKind = Kind::kIoTimedOut;
  Header header;
  uint64_t epoch;
  uint64_t paused_ms;
  uint64_t failed;
};
static_assert(sizeof(IoTimedOut) == 40);

struct Fenced {
  static constexpr Kind kKind = Kind::kFenced;
  Header header;
  uint64_t failed;  // requests answered with EIO
};

// The last message: the file is unmounted and the process ends with exit code 0.
struct Stopped {
  static constexpr Kind kKind = Kind::kStopped;
  Header header;
};

// A command could not be done; nothing changed. `command` is its kind.
struct Failed {
  static constexpr Kind kKind = Kind::kFailed;
  Header header;
  Kind command;
  uint16_t reserved;
  int32_t error;  // errno; 0 when there is none
  Text<256> what;
};
static_assert(sizeof(Failed) == 280);

using Command = std::variant<Login, ControlAway, ControlBack, Fence, Resize, Stop, Verdict, GetStatus, HandOver>;
using Report =
    std::variant<Hello, Status, Ready, SessionLost, Resumed, WriteFailed, IoTimedOut, Fenced, Stopped, Failed>;

// A message with its header filled in and everything else zero.
template <class M>
M NewMessage() {
  static_assert(std::is_trivially_copyable_v<M> && sizeof(M) <= kMaxMessageSize);
  M message;
  std::memset(static_cast<void*>(&message), 0, sizeof message);  // no padding carries what was in memory before
  message.header = {kWireMagic, kWireVersion, M::kKind, sizeof(M), 0};
  return message;
}

// The message in a packet; InvalidArgument for anything that is not exactly one.
absl::StatusOr<Command> ParseCommand(std::span<const std::byte> packet);
absl::StatusOr<Report> ParseReport(std::span<const std::byte> packet);

}  // namespace flocker::lun
