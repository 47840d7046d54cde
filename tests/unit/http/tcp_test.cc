// What a client may do to the server: send too much, too slowly, nothing at all, or rubbish.
#include "engine/http/http_server.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/http_client.h"

namespace flocker {
namespace {

using testing::HttpAnswer;
using testing::HttpClient;

class HttpServerTest : public ::testing::Test {
 protected:
  void Serve(const HttpLimits& limits = {}) {
    auto server = HttpServer::Start(
        "127.0.0.1:0",
        [](const HttpRequest& request, const HttpServer::Answer& answer) {
          HttpReply reply =
              JsonReply(200, absl::StrCat(request.method, " ", request.path, " ", request.body.size(), " bytes"));
          for (const std::string& value : request.Values("x-echo")) reply.headers.emplace_back("X-Echo", value);
          answer(reply);
        },
        limits);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  int port() const { return server_->port(); }

  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersOneRequestAfterTheOther) {
  Serve();
  HttpClient client(port());
  EXPECT_EQ(client.Send("GET", "/a?b=c", "").body, "GET /a 0 bytes");
  const HttpAnswer answer = client.Send("POST", "/b", "{}", {{"X-Echo", "yes"}});
  EXPECT_EQ(answer.body, "POST /b 2 bytes");
  EXPECT_EQ(answer.headers.at("x-echo"), "yes");
  EXPECT_EQ(answer.headers.at("content-type"), "application/json");
  ASSERT_TRUE(client.SendRaw("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")) << "pipelined";
  EXPECT_EQ(client.Receive().body, "GET /1 0 bytes");
  EXPECT_EQ(client.Receive().body, "GET /2 0 bytes");
  EXPECT_EQ(client.Send("GET", "/last", "", {{"Connection", "close"}}).headers.at("connection"), "close");
}

TEST_F(HttpServerTest, TakesABodyOfOneMiBAndNotOneByteMore) {
  Serve();
  HttpClient client(port());
  const std::string mib(1 << 20, 'x');
  EXPECT_EQ(client.Send("POST", "/", mib).body, "POST / 1048576 bytes");
  EXPECT_EQ(client.Send("POST", "/", mib + "x").status, 413);
  // Also when it does not say beforehand how much will come.
  ASSERT_TRUE(client.SendRaw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
  client.SendRaw(absl::StrCat("100001\r\n", mib, "x\r\n0\r\n\r\n"));
  EXPECT_EQ(client.Receive().status, 413);
}

TEST_F(HttpServerTest, SaysThatItWaitsForTheBody) {
  Serve();
  HttpClient client(port());
  ASSERT_TRUE(client.SendRaw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"));
  EXPECT_EQ(client.Receive().status, 100);
  ASSERT_TRUE(client.SendRaw("{}"));
  EXPECT_EQ(client.Receive().body, "POST / 2 bytes");
}

TEST_F(HttpServerTest, RefusesWhatIsNoHttp) {
  Serve();
  for (const std::string rubbish : {"hello there, server\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
                                    "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n"}) {
    HttpClient client(port());
    ASSERT_TRUE(client.SendRaw(rubbish));
    EXPECT_EQ(client.Receive().status, 400) << rubbish;
  }
  HttpClient client(port());
  ASSERT_TRUE(client.SendRaw(absl::StrCat("GET / HTTP/1.1\r\nX: ", std::string(20'000, 'x'), "\r\n\r\n")));
  EXPECT_EQ(client.Receive().status, 431);
}

TEST_F(HttpServerTest, CutsOffWhoIsTooSlow) {
  Serve({.request_time = absl::Milliseconds(200), .idle_time = absl::Milliseconds(400)});
  HttpClient silent(port());
  EXPECT_TRUE(silent.ClosedWithin(absl::Seconds(10))) << "never says anything";
  HttpClient dripping(port());
  ASSERT_TRUE(dripping.SendRaw("GET / HT"));
  EXPECT_TRUE(dripping.ClosedWithin(absl::Seconds(10))) << "never ends its header";
  HttpClient starving(port());
  ASSERT_TRUE(starving.SendRaw("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345"));
  EXPECT_TRUE(starving.ClosedWithin(absl::Seconds(10))) << "never ends its body";
  // One byte now and then does not buy more time.
  HttpClient busy(port());
  ASSERT_TRUE(busy.SendRaw("GET / HTTP/1.1\r\n"));
  bool closed = false;
  for (int i = 0; i < 100 && !closed; ++i) {
    closed = busy.ClosedWithin(absl::Milliseconds(50)) || !busy.SendRaw("X: y\r\n");
  }
  EXPECT_TRUE(closed);
}

TEST_F(HttpServerTest, AThousandIdleConnectionsDoNotBlockAWorkingOne) {
  rlimit descriptors{};  // of both ends
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &descriptors), 0);
  descriptors.rlim_cur = descriptors.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &descriptors), 0);
  Serve();
  const sockaddr_in address{.sin_family = AF_INET,
                            .sin_port = htons(static_cast<uint16_t>(port())),
                            .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
                            .sin_zero = {}};
  std::vector<unique_fd> idle;
  for (int i = 0; i < 1000; ++i) {
    idle.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(idle.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << i;
    // Half of them are in the middle of a request.
    if (i % 2 == 0) {
      ASSERT_EQ(send(idle.back().get(), "GET / HT", 8, MSG_NOSIGNAL), 8);
    }
  }
  HttpClient working(port());
  const absl::Time begin = absl::Now();
  for (int i = 0; i < 100; ++i) ASSERT_EQ(working.Get("/").status, 200);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
}

TEST_F(HttpServerTest, TooManyConnectionsCostTheOneThatIsIdleLongest) {
  Serve({.connections = 3});
  HttpClient first(port());
  HttpClient second(port());
  HttpClient third(port());
  for (HttpClient* client : {&first, &second, &third}) ASSERT_EQ(client->Get("/").status, 200);
  HttpClient fourth(port());
  ASSERT_EQ(fourth.Get("/").status, 200);
  EXPECT_TRUE(first.ClosedWithin(absl::Seconds(10)));
  EXPECT_FALSE(second.ClosedWithin(absl::Milliseconds(50)));
}

TEST_F(HttpServerTest, WhatIsStartedHasNoneOfItsSockets) {
  Serve();
  HttpClient client(port());
  ASSERT_EQ(client.Get("/").status, 200);
  int sockets = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename());
    struct sockaddr_in address {};
    socklen_t size = sizeof address;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) continue;
    if (address.sin_family != AF_INET || ntohs(address.sin_port) != port()) continue;
    ++sockets;
    EXPECT_NE(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
  }
  EXPECT_EQ(sockets, 2) << "the one that listens and the client's";
}

TEST_F(HttpServerTest, SaysWhenItCannotListen) {
  EXPECT_FALSE(HttpServer::Start("4523", nullptr).ok()) << "no host";
  Serve();
  EXPECT_FALSE(HttpServer::Start(absl::StrCat("127.0.0.1:", port()), nullptr).ok()) << "the port is taken";
}

}  // namespace
}  // namespace flocker
