// One JSON value a line over a unix socket, as QMP, the guest agent and our own daemon speak it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace flocker::lab {

// Blocks, but never past a deadline. One thread at a time.
class JsonSocket {
 public:
  JsonSocket() = default;
  JsonSocket(const JsonSocket&) = delete;
  JsonSocket& operator=(const JsonSocket&) = delete;

  // Connects anew; Unavailable when nobody listens there.
  absl::Status Connect(const std::string& path);
  void Close();
  bool connected() const { return socket_.is_open(); }

  absl::Status Send(const nlohmann::json& value, absl::Time deadline);
  // The next line that is JSON (the guest agent sends half a line when it was interrupted). DeadlineExceeded, or
  // Unavailable when the other end is gone.
  absl::StatusOr<nlohmann::json> Receive(absl::Time deadline);

 private:
  // Runs what was started until it is done; cancels it at the deadline. False then.
  bool RunUntil(absl::Time deadline);

  boost::asio::io_context io_;
  boost::asio::local::stream_protocol::socket socket_{io_};
  std::string received_;
  std::string path_;
};

}  // namespace flocker::lab
