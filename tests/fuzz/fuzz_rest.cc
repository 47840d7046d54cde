// Whatever a client sends to the REST API: the first byte chooses how, the rest is its text. Every request is answered
// once, with JSON.
#include <array>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/rest/api.h"

namespace {

namespace http = boost::beast::http;
using namespace flocker;  // NOLINT(google-build-using-namespace): a fuzz target is one file

// Agrees to everything that got through to it.
class Agreeing : public V1Control {
 public:
  void CheckTags(const Tags&, Done done) override { done({}); }
  void Create(const Tags&, const CreateBody& body, Done done) override {
    if (body.primary.empty() || body.metadata.size() > 16) std::abort();
    if (body.maximum_size % 1024 != 0) std::abort();
    done({.text = "{}"});
  }
  void Move(const Tags&, const std::string&, const MoveBody&, Done done) override { done({.text = "{}"}); }
  void Delete(const Tags&, const std::string&, Done done) override { done({.text = "{}"}); }
  void AcquireLease(const LeaseBody& body, Done done) override {
    if (body.dataset.empty() || body.node.empty()) std::abort();
    done({.kind = V1Result::Kind::kCreated});
  }
  void ReleaseLease(const DatasetId& id, Done done) override { done({.lease = Lease{.dataset = id}}); }
};

void Ask(const HttpRequest& request) {
  static PublishedState state;
  static Agreeing control;
  static V1Api api(state, control, [] { return absl::ZeroDuration(); });
  int answers = 0;
  api.Handle(request, [&](const HttpReply& reply) {
    ++answers;
    if (reply.status < 200 || reply.body == nullptr || !nlohmann::json::accept(*reply.body)) std::abort();
  });
  if (answers != 1) std::abort();
}

// As the server reads it.
void AskInHttp(const std::string& text) {
  http::request_parser<http::string_body> parser;
  parser.body_limit(uint64_t{1} << 20);
  parser.header_limit(16 << 10);
  parser.eager(true);
  boost::beast::error_code error;
  parser.put(boost::asio::buffer(text), error);
  if (error || !parser.is_done()) return;
  const auto message = parser.release();
  HttpRequest request{.method = std::string(message.method_string()), .path = std::string(message.target())};
  for (const auto& field : message) {
    request.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  }
  request.body = message.body();
  Ask(request);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 5) {
    case 0:
      AskInHttp(text);
      break;
    case 1:
      Ask({.method = "POST", .path = "/v1/configuration/datasets", .body = text});
      break;
    case 2:
      Ask({.method = "POST", .path = "/v1/configuration/leases", .body = text});
      break;
    case 3:
      Ask({.method = "POST", .path = "/v1/configuration/datasets/x", .body = text});
      break;
    default:
      Ask({.method = "DELETE", .path = text});
      break;
  }
  return 0;
}
