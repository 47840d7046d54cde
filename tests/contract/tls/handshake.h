// TLS connections by OpenSSL alone, one step below gRPC and HTTP.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "engine/ctl/authority.h"
#include "engine/rpc/openssl.h"

namespace flocker::testing {

struct ClientHello {
  KeyedCertificate keyed;            // empty: none is shown
  int max_version = TLS1_3_VERSION;  // of the protocol
  std::string request;               // sent behind the handshake, to a server that waits for one
  bool to_the_end = false;           // reads until the server ends the connection
};

// What a server on loopback answered: the serial number of its certificate and the protocol. An error when it refused,
// in OpenSSL's words (its alert, if it sent one). Checks nothing about the server.
struct ServerHello {
  std::string serial;
  std::string protocol;
  std::string first;      // bytes that it sent
  bool farewell = false;  // with `to_the_end`: it ended with close_notify, rather than just closing
};
absl::StatusOr<ServerHello> Shake(int port, const ClientHello& client);

std::string SerialOf(const std::string& certificate_pem);

}  // namespace flocker::testing
