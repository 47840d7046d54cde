#include "tests/harness/http_client.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <optional>

#include "absl/strings/ascii.h"

namespace flocker::testing {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using beast::error_code;

}  // namespace

nlohmann::json HttpAnswer::Json() const {
  const auto type = headers.find("content-type");
  EXPECT_TRUE(type != headers.end() && type->second == "application/json") << status << " " << body;
  auto value = nlohmann::json::parse(body, nullptr, false);
  EXPECT_FALSE(value.is_discarded()) << status << " " << body;
  return value;
}

struct HttpClient::Socket {
  asio::io_context io;
  beast::tcp_stream stream{io};
  beast::flat_buffer buffer;

  // Runs what was begun, at most that long; the stream's own clock ends it.
  error_code Run(std::optional<error_code>& result) {
    io.restart();
    io.run();
    return result.value_or(error_code());
  }
};

HttpClient::HttpClient(int port) : port_(port) {}
HttpClient::~HttpClient() = default;

bool HttpClient::Connect() {
  if (socket_ != nullptr && socket_->stream.socket().is_open()) return true;
  socket_ = std::make_unique<Socket>();
  error_code error;
  socket_->stream.socket().connect({asio::ip::make_address("127.0.0.1"), static_cast<uint16_t>(port_)}, error);
  return !error;
}

bool HttpClient::SendRaw(const std::string& bytes) {
  if (!Connect()) return false;
  error_code error;
  asio::write(socket_->stream.socket(), asio::buffer(bytes), error);
  return !error;
}

HttpAnswer HttpClient::Receive(absl::Duration timeout) {
  http::response_parser<http::string_body> parser;
  parser.body_limit(uint64_t{64} << 20);
  std::optional<error_code> result;
  socket_->stream.expires_after(absl::ToChronoNanoseconds(timeout));
  http::async_read(socket_->stream, socket_->buffer, parser, [&](error_code error, size_t) { result = error; });
  if (const error_code error = socket_->Run(result)) {
    socket_.reset();
    return {.status = 0, .body = error.message()};
  }
  auto message = parser.release();
  HttpAnswer answer{.status = static_cast<int>(message.result_int()), .body = std::move(message.body())};
  for (const auto& field : message) {
    answer.headers[absl::AsciiStrToLower(std::string(field.name_string()))] = std::string(field.value());
  }
  if (!message.keep_alive()) socket_.reset();
  return answer;
}

// Not by the stream's own clock, which closes it when it ends.
bool HttpClient::ClosedWithin(absl::Duration timeout) {
  if (!Connect()) return false;
  pollfd readable{.fd = socket_->stream.socket().native_handle(), .events = POLLIN, .revents = 0};
  if (poll(&readable, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) != 1) return false;
  char byte = 0;
  return recv(readable.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

HttpAnswer HttpClient::Send(const std::string& method, const std::string& path, const std::string& body,
                            const Headers& headers) {
  http::request<http::string_body> request;
  request.method_string(method);
  request.target(path);
  request.version(11);
  request.set(http::field::host, "localhost");
  for (const auto& [name, value] : headers) request.insert(name, value);
  request.body() = body;
  if (!body.empty() || method == "POST") request.content_length(body.size());
  HttpAnswer answer;
  bool reused = false;
  do {
    reused = socket_ != nullptr;  // then it may have been closed since, as when the server was started anew
    if (!Connect()) return {.status = 0, .body = "cannot connect"};
    error_code ignored;  // who does not want all of it may answer all the same
    http::write(socket_->stream, request, ignored);
    answer = Receive();
  } while (answer.status == 0 && reused);
  return answer;
}

}  // namespace flocker::testing
