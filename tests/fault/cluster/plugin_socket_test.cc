// Docker's plugin at a socket that the service manager listens at: dockerd's calls wait there while there is no agent.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>

#include "absl/strings/match.h"
#include "engine/base/unique_fd.h"
#include "tests/harness/cluster.h"
#include "tests/harness/service_manager.h"
#include "tests/harness/wait.h"

namespace flocker::testing {
namespace {

class PluginSocket : public ::testing::Test {
 protected:
  PluginSocket() : cluster_({.nodes = {"alpha"}}), manager_(cluster_.dir() + "/notify") {
    path_ = cluster_.dir() + "/flocker.sock";
    path_.copy(static_cast<char*>(address_.sun_path), sizeof address_.sun_path - 1);
    unique_fd listening(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(bind(listening.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_), 0);
    EXPECT_EQ(listen(listening.get(), 8), 0);
    manager_.Store("flocker-docker.socket", std::move(listening));
    cluster_.agent("alpha").set_prepare([this](ChildOptions& options) { manager_.Prepare(options); });
  }

  unique_fd Ask() {
    unique_fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_), 0);
    const std::string request = "POST /Plugin.Activate HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    EXPECT_EQ(write(fd.get(), request.data(), request.size()), static_cast<ssize_t>(request.size()));
    const timeval patience{.tv_sec = 30, .tv_usec = 0};
    EXPECT_EQ(setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    return fd;
  }
  static std::string Answer(const unique_fd& fd) {
    std::string all;
    std::array<char, 1024> part{};
    ssize_t got = 0;
    while ((got = read(fd.get(), part.data(), part.size())) > 0) all.append(part.data(), static_cast<size_t>(got));
    return all;
  }

  TestCluster cluster_;
  ServiceManager manager_;
  std::string path_;
  sockaddr_un address_{.sun_family = AF_UNIX, .sun_path = {}};
};

TEST_F(PluginSocket, KeepsCallsWhileTheAgentIsAway) {
  const unique_fd early = Ask();
  ASSERT_TRUE(cluster_.Start().ok());
  EXPECT_TRUE(absl::StrContains(Answer(early), "VolumeDriver")) << "asked before there was an agent";
  cluster_.agent("alpha").Kill();
  const unique_fd between = Ask();
  ASSERT_TRUE(cluster_.StartAgent("alpha").ok());
  EXPECT_TRUE(absl::StrContains(Answer(between), "VolumeDriver")) << "asked between two agents";
  EXPECT_EQ(access(path_.c_str(), F_OK), 0);
  EXPECT_TRUE(absl::StrContains(Answer(Ask()), "VolumeDriver"));
}

}  // namespace
}  // namespace flocker::testing
