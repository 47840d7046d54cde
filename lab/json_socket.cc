#include "lab/json_socket.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace flocker::lab {

namespace asio = boost::asio;
using boost::system::error_code;

absl::Status JsonSocket::Connect(const std::string& path) {
  Close();
  path_ = path;
  error_code error;
  socket_.connect(asio::local::stream_protocol::endpoint(path), error);
  if (!error) return absl::OkStatus();
  Close();
  return absl::UnavailableError(absl::StrCat("cannot connect to ", path, ": ", error.message()));
}

void JsonSocket::Close() {
  error_code ignored;  // nothing is lost: whoever needs the connection makes a new one
  socket_.close(ignored);
  received_.clear();
}

bool JsonSocket::RunUntil(absl::Time deadline) {
  io_.restart();
  io_.run_for(absl::ToChronoNanoseconds(std::max(deadline - absl::Now(), absl::ZeroDuration())));
  if (io_.stopped()) return true;
  error_code ignored;
  socket_.cancel(ignored);
  io_.restart();
  io_.run();
  return false;
}

absl::Status JsonSocket::Send(const nlohmann::json& value, absl::Time deadline) {
  if (!connected()) return absl::UnavailableError("not connected");
  const std::string line = absl::StrCat(value.dump(), "\n");
  error_code result;
  asio::async_write(socket_, asio::buffer(line), [&](const error_code& error, size_t) { result = error; });
  if (!RunUntil(deadline)) return absl::DeadlineExceededError(absl::StrCat(path_, " takes no request"));
  if (result) return absl::UnavailableError(absl::StrCat("writing to ", path_, ": ", result.message()));
  return absl::OkStatus();
}

absl::StatusOr<nlohmann::json> JsonSocket::Receive(absl::Time deadline) {
  if (!connected()) return absl::UnavailableError("not connected");
  while (true) {
    error_code result;
    size_t length = 0;
    asio::async_read_until(socket_, asio::dynamic_buffer(received_), '\n', [&](const error_code& error, size_t size) {
      result = error;
      length = size;
    });
    if (!RunUntil(deadline)) return absl::DeadlineExceededError(absl::StrCat(path_, " does not answer"));
    if (result) return absl::UnavailableError(absl::StrCat("reading from ", path_, ": ", result.message()));
    auto value = nlohmann::json::parse(received_.substr(0, length), nullptr, /*allow_exceptions=*/false);
    received_.erase(0, length);
    if (!value.is_discarded()) return value;
  }
}

}  // namespace flocker::lab
