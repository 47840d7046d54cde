// QEMU's monitor (docs/interop/qmp-spec.txt): the machine itself, not what runs in it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lab/json_socket.h"

namespace flocker::lab {

class Qmp {
 public:
  explicit Qmp(std::string path) : path_(std::move(path)) {}

  // Connects on first use. Events that arrive meanwhile are passed over. An error names QEMU's own message.
  absl::StatusOr<nlohmann::json> Execute(const std::string& command,
                                         nlohmann::json arguments = nlohmann::json::object(),
                                         absl::Duration timeout = absl::Seconds(20));
  void Close() { socket_.Close(); }

 private:
  absl::StatusOr<nlohmann::json> Call(const std::string& command, nlohmann::json arguments, absl::Time deadline);

  const std::string path_;
  JsonSocket socket_;
};

}  // namespace flocker::lab
