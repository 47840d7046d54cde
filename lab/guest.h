// The control channel into a machine: qemu-guest-agent over a virtio-serial port (QEMU's qga/qapi-schema.json). It
// works without the machine's network, so cutting that does not cut us off.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/subprocess.h"
#include "lab/json_socket.h"

namespace flocker::lab {

class Guest {
 public:
  // `path`: the unix socket of the port's chardev.
  explicit Guest(std::string path) : path_(std::move(path)) {}

  // Returns once the agent answers, which is when the machine's init is done.
  absl::Status WaitReady(absl::Time deadline);

  // Runs a bash command line to its end and returns exit code and output (both streams together, at most 16 MiB). After
  // `timeout` it is killed there, exit code 124; DeadlineExceeded or Unavailable when the machine itself does not
  // answer.
  absl::StatusOr<CommandResult> Run(const std::string& command, absl::Duration timeout = absl::Seconds(60));

  absl::Status Push(const std::string& path, const std::string& content, mode_t mode = 0644);
  absl::StatusOr<std::string> Pull(const std::string& path);

  // The machine is gone, or starts anew.
  void Close();

 private:
  absl::StatusOr<nlohmann::json> Call(const std::string& command, const nlohmann::json& arguments, absl::Time deadline);
  absl::Status Synchronize(absl::Time deadline);
  absl::StatusOr<CommandResult> Exec(const std::string& command, const std::string& input, absl::Duration timeout);

  const std::string path_;
  JsonSocket socket_;
  int64_t last_id_ = 0;
  bool answers_ = false;  // as far as we know
};

}  // namespace flocker::lab
