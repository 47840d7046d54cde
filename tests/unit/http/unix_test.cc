// The server on a unix socket, one request a connection, with peers that misbehave.
#include "engine/http/http_server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/mutex.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/scratch.h"
#include "tests/harness/wait.h"

namespace flocker {
namespace {

class Peer {
 public:
  explicit Peer(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
    EXPECT_EQ(connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << path;
  }
  // False when the server has hung up.
  bool Send(const std::string& bytes) const {
    return send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  bool Post(const std::string& target, const std::string& body) const {
    return Send(
        absl::StrCat("POST ", target, " HTTP/1.1\r\nHost: x\r\nContent-Length: ", body.size(), "\r\n\r\n", body));
  }
  // Everything until the server hangs up; "" and a failure when it does not within 20 s.
  std::string ReadAll() const {
    std::string all;
    std::array<char, 4096> part{};
    pollfd ready{fd_.get(), POLLIN, 0};
    while (poll(&ready, 1, 20'000) == 1) {
      const ssize_t got = read(fd_.get(), part.data(), part.size());
      if (got <= 0) return all;
      all.append(part.data(), static_cast<size_t>(got));
    }
    ADD_FAILURE() << "the server keeps the connection";
    return all;
  }

 private:
  unique_fd fd_;
};

class UnixHttp : public ::testing::Test {
 protected:
  void Serve(HttpLimits limits = {}) {
    limits.one_request = true;
    std::vector<HttpListener> listeners;
    listeners.push_back({.address = "unix:" + path_});
    auto server = HttpServer::Start(
        std::move(listeners),
        [this](const HttpRequest& request, const HttpServer::Answer& answer) {
          const MutexLock lock(mutex_);
          if (request.peer) peer_ = request.peer->pid;
          if (request.path == "/later") return held_.push_back(answer);
          answer(JsonReply(200, absl::StrCat(request.path, " ", request.body.size())));
        },
        limits);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  size_t Held() {
    const MutexLock lock(mutex_);
    return held_.size();
  }
  HttpServer::Answer TakeHeld() {
    const MutexLock lock(mutex_);
    return std::move(held_.front());
  }

  const testing::ScratchDir scratch_;
  const std::string path_ = scratch_ / "plugins/flocker.sock";
  Mutex mutex_;
  std::vector<HttpServer::Answer> held_ GUARDED_BY(mutex_);
  pid_t peer_ GUARDED_BY(mutex_) = 0;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(UnixHttp, AnswersOneRequestAConnection) {
  Serve();
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  const Peer peer(path_);
  ASSERT_TRUE(peer.Post("/call", "12345"));
  const std::string answer = peer.ReadAll();
  EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 200 ")) << answer;
  EXPECT_TRUE(absl::StrContains(answer, "Connection: close")) << answer;
  EXPECT_TRUE(absl::EndsWith(answer, "/call 5")) << answer;
  const MutexLock lock(mutex_);
  EXPECT_EQ(peer_, getpid());
}

TEST_F(UnixHttp, TakesThePlaceOfAnOlderSocket) {
  Serve();
  const auto successor = HttpServer::Start("unix:" + path_, [](const HttpRequest&, const HttpServer::Answer& answer) {
    answer(JsonReply(200, "successor"));
  });
  ASSERT_TRUE(successor.ok()) << successor.status();
  const Peer peer(path_);
  ASSERT_TRUE(peer.Send("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(absl::EndsWith(peer.ReadAll(), "successor"));
}

TEST_F(UnixHttp, AnAnswerMayTakeLongAndItsPeerMayGo) {
  Serve({.request_time = absl::Milliseconds(200)});
  const Peer patient(path_);
  ASSERT_TRUE(patient.Post("/later", ""));
  ASSERT_TRUE(testing::Eventually(absl::Seconds(10), [&] { return Held() == 1; }));
  const Peer other(path_);
  ASSERT_TRUE(other.Post("/call", ""));
  EXPECT_TRUE(absl::EndsWith(other.ReadAll(), "/call 0"));
  const Peer idle(path_);
  EXPECT_EQ(idle.ReadAll(), "");  // the time of a request has passed meanwhile
  TakeHeld()(JsonReply(200, "at last"));
  EXPECT_TRUE(absl::EndsWith(patient.ReadAll(), "at last"));

  { EXPECT_TRUE(Peer(path_).Post("/later", "")); }
  ASSERT_TRUE(testing::Eventually(absl::Seconds(10), [&] { return Held() == 2; }));
  {
    const MutexLock lock(mutex_);
    held_.back()(JsonReply(200, "nobody reads it"));
  }
  const Peer next(path_);
  ASSERT_TRUE(next.Post("/call", ""));
  EXPECT_TRUE(absl::EndsWith(next.ReadAll(), "/call 0"));
}

TEST_F(UnixHttp, RefusesWhatIsTooLargeOrNoRequest) {
  Serve();
  const auto answer = [&](const std::string& bytes) {
    const Peer peer(path_);
    peer.Send(bytes);  // it may hang up before it has read all
    return peer.ReadAll();
  };
  const std::string post = "POST /call HTTP/1.1\r\nHost: x\r\n";
  EXPECT_TRUE(absl::StartsWith(answer(post + "Content-Length: 1048577\r\n\r\n"), "HTTP/1.1 413 "));
  const std::string chunk = absl::StrCat("10000\r\n", std::string(0x10000, 'x'), "\r\n");
  std::string chunks;
  for (int i = 0; i < 17; ++i) chunks += chunk;
  EXPECT_FALSE(absl::StartsWith(answer(post + "Transfer-Encoding: chunked\r\n\r\n" + chunks), "HTTP/1.1 200 "));
  EXPECT_TRUE(absl::StartsWith(answer("hello\r\n\r\n"), "HTTP/1.1 400 "));
  EXPECT_TRUE(absl::StartsWith(answer(post + "X: " + std::string(20'000, 'x') + "\r\n\r\n"), "HTTP/1.1 431 "));
  const Peer most(path_);
  ASSERT_TRUE(most.Post("/call", std::string(1 << 20, ' ')));
  EXPECT_TRUE(absl::EndsWith(most.ReadAll(), "/call 1048576"));
}

TEST_F(UnixHttp, ASlowPeerIsTimedOut) {
  Serve({.request_time = absl::Milliseconds(300)});
  const Peer slow(path_);
  ASSERT_TRUE(slow.Send("POST /call HTTP/1.1\r\nContent-Length: 9\r\n\r\n1"));
  EXPECT_EQ(slow.ReadAll(), "");
}

TEST_F(UnixHttp, AThousandIdleConnectionsAreInNobodysWay) {
  Serve({.request_time = absl::Minutes(10), .connections = 256});
  std::vector<std::unique_ptr<Peer>> idle;
  for (int i = 0; i < 1000; ++i) idle.push_back(std::make_unique<Peer>(path_));
  const Peer working(path_);
  ASSERT_TRUE(working.Post("/call", "1"));
  EXPECT_TRUE(absl::EndsWith(working.ReadAll(), "/call 1"));
  EXPECT_EQ(idle.front()->ReadAll(), "");  // the oldest made room
}

TEST_F(UnixHttp, AnAnswerMayBeKeptLongerThanTheServer) {
  Serve();
  const Peer peer(path_);
  ASSERT_TRUE(peer.Post("/later", ""));
  ASSERT_TRUE(testing::Eventually(absl::Seconds(10), [&] { return Held() == 1; }));
  server_.reset();
  EXPECT_EQ(peer.ReadAll(), "");
  TakeHeld()(JsonReply(200, "too late"));
}

TEST_F(UnixHttp, WhoeverWaitsForAnAnswerIsNotDrivenOut) {
  Serve({.connections = 2});
  const Peer first(path_);
  const Peer second(path_);
  ASSERT_TRUE(first.Post("/later", ""));
  ASSERT_TRUE(second.Post("/later", ""));
  ASSERT_TRUE(testing::Eventually(absl::Seconds(10), [&] { return Held() == 2; }));
  const Peer third(path_);
  EXPECT_EQ(third.ReadAll(), "");
  TakeHeld()(JsonReply(200, "first"));
  EXPECT_TRUE(absl::EndsWith(first.ReadAll(), "first"));
}

}  // namespace
}  // namespace flocker
