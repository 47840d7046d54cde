// A session to a file of this machine, which an array of files grants by its path (engine/array/local.h). A few threads
// read and write it, through the page cache; a flush is an fdatasync.
//
// Logged in is who has the file's claim (engine/base/file_claim.h). The claim is let go of when the door changes, and
// only after the last command under way has returned: nothing of a session arrives once another could begin.
#pragma once

#include <pthread.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/file_claim.h"
#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"
#include "engine/lun/session.h"

namespace flocker::lun {

class FileSession final : public Session {
 public:
  // `max_commands` bounds the commands in flight; all memory for them is allocated here. Threads begin with the first
  // Open.
  FileSession(Owner& owner, uint32_t max_commands);
  ~FileSession() override;
  FileSession(const FileSession&) = delete;
  FileSession& operator=(const FileSession&) = delete;

  absl::Status Open(const Login& login, Clock::time_point now) override;
  // Waits for the commands that are at the file: as long as the kernel takes for them.
  void Close() override;
  bool Logout() override;
  bool logging_out() const override { return phase_ == Phase::kLoggingOut; }
  bool open() const override { return claim_.has_value(); }
  bool up() const override { return phase_ == Phase::kUp; }
  void Check(Clock::time_point now) override;
  bool Issue(uint32_t tag, const Command16& command, uint32_t block_size, Clock::time_point now) override;
  void Cut(Loss loss, const std::string& reason) override;
  int fd() const override { return poll_.get(); }
  int events() const override;
  uint64_t generation() const override { return generation_; }
  void Service(int revents) override;
  void Flush() override;
  // A command that takes long keeps the file; no other session could do better.
  std::optional<Clock::time_point> deadline() const override { return std::nullopt; }
  void CheckDeadline(Clock::time_point /*now*/) override {}

 private:
  enum class Phase { kClosed, kProbing, kUp, kLoggingOut };
  static constexpr size_t kThreads = 4;

  struct Job {
    uint32_t tag = 0;
    Command16 command;
    int error = 0;  // errno, once it is done
  };
  // Jobs by index, in order; never more than there are jobs.
  class Queue {
   public:
    explicit Queue(size_t room) : jobs_(room) {}
    bool empty() const { return size_ == 0; }
    void Push(uint32_t job) { jobs_[(first_ + size_++) % jobs_.size()] = job; }
    uint32_t Pop();

   private:
    std::vector<uint32_t> jobs_;
    size_t first_ = 0;
    size_t size_ = 0;
  };

  absl::Status StartThreads();
  void Work();
  int Do(const Command16& command) const;
  int WriteZeroes(const Command16& command) const;
  void Probe();
  void EndIfCut();
  void Signal() const;

  Owner& owner_;
  std::vector<Job> jobs_;  // each belongs to whoever has its index
  std::vector<uint32_t> free_;
  std::array<pthread_t, kThreads> threads_{};
  size_t threads_started_ = 0;

  Phase phase_ = Phase::kClosed;
  uint64_t generation_ = 0;
  std::optional<FileClaim> claim_;  // changes only while no thread has a job
  unique_fd poll_;                  // an epoll of the two
  unique_fd done_event_;
  bool probe_due_ = false;
  int flush_error_ = 0;  // of a flush that got no answer; the kernel tells it once, so the next one answers it
  struct Ending {
    Loss loss;
    std::string reason;
  };
  std::optional<Ending> cut_;

  Mutex mutex_;
  CondVar wake_;
  CondVar idle_;
  Queue queued_ GUARDED_BY(mutex_);
  Queue done_ GUARDED_BY(mutex_);
  uint32_t running_ GUARDED_BY(mutex_) = 0;
  bool ending_ GUARDED_BY(mutex_) = false;
};

}  // namespace flocker::lun
