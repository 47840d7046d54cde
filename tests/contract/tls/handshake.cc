#include "tests/contract/tls/handshake.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/base/unique_fd.h"

namespace flocker::testing {
namespace {

using SslPtr = std::unique_ptr<SSL, OpensslFree<SSL_free>>;

std::string Serial(X509* certificate) {
  const std::unique_ptr<BIGNUM, OpensslFree<BN_free>> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  char* hex = BN_bn2hex(number.get());
  std::string text(hex);
  OPENSSL_free(hex);
  return text;
}

absl::StatusOr<unique_fd> ConnectTo(int port) {
  unique_fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval timeout{.tv_sec = 10, .tv_usec = 0};
  if (setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) != 0 ||
      connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return ErrnoStatus(errno, "cannot connect");
  }
  return fd;
}

}  // namespace

absl::StatusOr<ServerHello> Shake(int port, const ClientHello& client) {
  const SslContextPtr context(SSL_CTX_new(TLS_client_method()));
  // A client as old as it gets: Debian's OpenSSL would not even ask for less than TLS 1.2.
  SSL_CTX_set_security_level(context.get(), 0);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context.get(), client.max_version);
  static constexpr unsigned char kAlpn[] = "\2h2\10http/1.1";
  SSL_CTX_set_alpn_protos(context.get(), kAlpn, sizeof kAlpn - 1);
  if (!client.keyed.certificate.empty()) {
    ASSIGN_OR_RETURN(const X509Ptr certificate, CertificateFromPem(client.keyed.certificate, "it"));
    ASSIGN_OR_RETURN(const KeyPtr key, KeyFromPem(client.keyed.key, "its key"));
    SSL_CTX_use_certificate(context.get(), certificate.get());
    SSL_CTX_use_PrivateKey(context.get(), key.get());
  }
  ASSIGN_OR_RETURN(const unique_fd fd, ConnectTo(port));
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets as to files, and the server may be done with us
  const SslPtr connection(SSL_new(context.get()));
  SSL_set_fd(connection.get(), fd.get());
  ERR_clear_error();
  if (SSL_connect(connection.get()) != 1) return absl::UnavailableError(OpensslError());
  ServerHello hello;
  const X509Ptr certificate(SSL_get1_peer_certificate(connection.get()));
  hello.serial = Serial(certificate.get());
  hello.protocol = SSL_get_version(connection.get());
  // In TLS 1.3 the server's verdict on our certificate comes behind the handshake, instead of its first bytes.
  std::array<char, 64> first{};
  ERR_clear_error();
  if (!client.request.empty()) {
    SSL_write(connection.get(), client.request.data(), static_cast<int>(client.request.size()));
  }
  const int got = SSL_read(connection.get(), first.data(), first.size());
  if (got <= 0) return absl::UnavailableError(OpensslError());
  hello.first.assign(first.data(), static_cast<size_t>(got));
  int more = got;
  while (client.to_the_end && more > 0) more = SSL_read(connection.get(), first.data(), first.size());
  hello.farewell = client.to_the_end && SSL_get_error(connection.get(), more) == SSL_ERROR_ZERO_RETURN;
  return hello;
}

std::string SerialOf(const std::string& certificate_pem) {
  return Serial(CertificateFromPem(certificate_pem, "it")->get());
}

}  // namespace flocker::testing
