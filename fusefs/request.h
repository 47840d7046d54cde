// One request of the kernel's, answered exactly once.
#pragma once

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 312
#endif
#include <fuse3/fuse_lowlevel.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fusefs/in_flight.h"

namespace flocker {

// Whom to wake with fuse_lowlevel_notify_poll; null when the kernel wants nobody woken.
struct DestroyPollHandle {
  void operator()(fuse_pollhandle* handle) const { fuse_pollhandle_destroy(handle); }
};
using PollHandle = std::unique_ptr<fuse_pollhandle, DestroyPollHandle>;

// Owns a fuse_req_t. It may be kept and answered later from any thread: whoever waits for something is such an object
// in a table, never a thread. One that is destroyed unanswered answers EIO, so that no caller hangs.
//
// Replies that give the kernel something it must give back (an entry, a handle) say whether it took it: false when the
// caller was interrupted meanwhile, and then no FORGET or RELEASE will follow.
class Request {
 public:
  // FUSE_STATX has an answer of its own form (newer_requests.h).
  enum class Form { kUsual, kStatx };
  // On the thread that received it, while it is processed there.
  explicit Request(fuse_req_t req, Form form = Form::kUsual) : req_(req), form_(form), kept_(InFlight::Current()) {}
  Request(Request&& other) noexcept
      : req_(std::exchange(other.req_, nullptr)), form_(other.form_), kept_(std::move(other.kept_)) {}
  Request& operator=(Request&& other) noexcept {
    if (this == &other) return *this;
    Abandon();
    req_ = std::exchange(other.req_, nullptr);
    form_ = other.form_;
    kept_ = std::move(other.kept_);
    return *this;
  }
  ~Request() { Abandon(); }

  // Call it right before the system call (or the message to the agent) that would not do the same if it were made
  // twice: should this process die after it, the caller gets EIO, unless the answer was recorded.
  // `note` is for the successor, which then gets the request once more, with the note (InFlight::kMaxNote).
  void Begin(std::string_view note = {}) const {
    if (kept_.in_flight != nullptr) kept_.in_flight->Begin(kept_.slot, note);
  }
  const std::string& note() const { return kept_.note; }  // of a predecessor; empty for none
  uint64_t unique() const { return kept_.unique; }        // the kernel's name for it

  void Error(int error) { fuse_reply_err(Take(), error); }  // 0: success without a result
  void Forgotten() { fuse_reply_none(Take()); }             // the answer to FORGET
  [[nodiscard]] bool Entry(const fuse_entry_param& entry) { return fuse_reply_entry(Take(), &entry) == 0; }
  [[nodiscard]] bool Created(const fuse_entry_param& entry, const fuse_file_info& file) {
    return fuse_reply_create(Take(), &entry, &file) == 0;
  }
  [[nodiscard]] bool Opened(const fuse_file_info& file) { return fuse_reply_open(Take(), &file) == 0; }
  // Attributes are never cached: the same ext4 is in use behind the kernel's FUSE inodes, through the native path.
  void Attributes(const struct stat& attributes, const std::optional<statx_timestamp>& birth = std::nullopt);
  bool WantsBirth() const { return form_ == Form::kStatx; }
  void Link(const std::string& target) { fuse_reply_readlink(Take(), target.c_str()); }
  void Bytes(std::string_view bytes) { fuse_reply_buf(Take(), bytes.data(), bytes.size()); }
  void Data(fuse_bufvec& data) { fuse_reply_data(Take(), &data, FUSE_BUF_SPLICE_MOVE); }
  void Written(size_t size) { fuse_reply_write(Take(), size); }
  void Statfs(const struct statvfs& statfs) { fuse_reply_statfs(Take(), &statfs); }
  void Controlled(std::string_view result) { fuse_reply_ioctl(Take(), 0, result.data(), result.size()); }
  void Polled(unsigned ready) { fuse_reply_poll(Take(), ready); }  // POLLIN | …
  void Offset(off_t offset) { fuse_reply_lseek(Take(), offset); }
  // The answer to getxattr and listxattr: the size alone when the caller's buffer has `room` 0, ERANGE when too small.
  void Attribute(std::string_view value, size_t room);

  // The caller. The umask is told by mkdir, mknod and create only.
  const fuse_ctx& caller() const { return *fuse_req_ctx(req_); }
  // Its supplementary groups as /proc shows them; empty when it is in a pid namespace that we do not see.
  std::vector<gid_t> Groups() const;

  void* userdata() const { return fuse_req_userdata(req_); }
  fuse_req_t raw() const { return req_; }

 private:
  fuse_req_t Take() { return std::exchange(req_, nullptr); }
  void Abandon();

  fuse_req_t req_;
  Form form_;
  InFlight::Kept kept_;
};

}  // namespace flocker
