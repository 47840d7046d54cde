// The agent's end of the conversation in wire.h.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/unique_fd.h"
#include "engine/lun/wire.h"

namespace flocker::lun {

// One connection to one flocker-lun. Not for several threads at once. After an error of Send or Receive other than
// DeadlineExceeded the connection is of no more use: connect again, or look whether the process has ended.
class LunClient {
 public:
  // The first Receive yields kHello. Errors are connect(2)'s: NotFound or Unavailable while nobody listens on `path`
  // (yet).
  static absl::StatusOr<LunClient> Connect(const std::string& path);

  // Who listens there: the process that connections of Connect lead to, whether or not it answers.
  absl::StatusOr<pid_t> Server() const;

  // The other end of a connection that was given to flocker-lun at its start.
  static LunClient Take(unique_fd socket) { return LunClient(std::move(socket)); }

  LunClient(LunClient&&) = default;
  LunClient& operator=(LunClient&&) = default;

  // Does not block: a socket that is full means that flocker-lun does not read, an error.
  template <class M>
  absl::Status Send(const M& message) {
    return SendPacket(&message, sizeof message);
  }

  struct Received {
    Report report;
    unique_fd fuse;  // both only with kHello
    unique_fd arena;
  };
  // The next message; DeadlineExceeded when there is none by `deadline` (of SteadyNow; absl::InfinitePast(): do not
  // wait), Unavailable when flocker-lun closed the connection.
  absl::StatusOr<Received> Receive(absl::Time deadline);

  // Readable when Receive has something.
  int fd() const { return socket_.get(); }

 private:
  explicit LunClient(unique_fd socket) : socket_(std::move(socket)) {}
  absl::Status SendPacket(const void* data, size_t size);

  unique_fd socket_;
};

}  // namespace flocker::lun
