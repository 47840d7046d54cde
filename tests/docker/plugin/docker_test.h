// A cluster of alpha and beta whose agents have the volume plugin, and a real dockerd on each.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/harness/cluster.h"
#include "tests/harness/dockerd.h"
#include "tests/harness/tree_calls.h"
#include "tests/harness/wait.h"

namespace flocker::testing {

class DockerTest : public ::testing::Test {
 protected:
  explicit DockerTest(ClusterOptions options = {}, const std::vector<std::string>& dockerd_flags = {})
      : cluster_(WithPlugin(std::move(options))),
        alpha_(cluster_.dir() + "/docker.alpha", cluster_.DockerPlugins("alpha"), dockerd_flags),
        beta_(cluster_.dir() + "/docker.beta", cluster_.DockerPlugins("beta"), dockerd_flags) {}

  void SetUp() override {
    // All at the same time: each waits for the kernel more than it computes.
    absl::Status alpha;
    absl::Status beta;
    std::thread alpha_starts([&] { alpha = alpha_.Start(); });
    std::thread beta_starts([&] { beta = beta_.Start(); });
    const absl::Status started = cluster_.Start();
    alpha_starts.join();
    beta_starts.join();
    ASSERT_TRUE(started.ok()) << started;
    ASSERT_TRUE(alpha.ok()) << alpha;
    ASSERT_TRUE(beta.ok()) << beta;
  }

  static ClusterOptions WithPlugin(ClusterOptions options) {
    options.docker_plugin = true;
    return options;
  }

  // Of a container that uses volume `name` as /data: `docker run` in front of an image.
  static std::vector<std::string> With(const std::string& name, std::vector<std::string> more) {
    std::vector<std::string> args = {"--volume-driver", "flocker", "--volume", name + ":/data"};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
  // One that ends by itself; what it printed, or why it could not.
  static std::string Once(const Dockerd& dockerd, const std::string& name, const std::string& script) {
    return Once(dockerd, With(name, {"--rm"}), script);
  }
  static std::string Once(const Dockerd& dockerd, std::vector<std::string> args, const std::string& script) {
    args.insert(args.end(), {"box", "sh", "-c", script});
    const CommandResult result = dockerd.Run(args);
    return result.exit_code == 0 ? result.output : absl::StrCat("exit code ", result.exit_code, ": ", result.output);
  }
  // One that runs on and appends to /data/log; its id.
  static std::string StartWriter(const Dockerd& dockerd, const std::string& name) {
    const CommandResult result =
        dockerd.Run(With(name, {"--detach", "--init", "--name", "writer", "box", "sh", "-c",
                                "n=0; while :; do n=$((n + 1)); echo $n >>/data/log; usleep 20000; done"}));
    EXPECT_EQ(result.exit_code, 0) << result.output;
    return result.output.substr(0, 64);
  }
  // The writer's file grows from now on.
  ::testing::AssertionResult Writes(const std::string& node, const std::string& name) {
    const std::string file = cluster_.NativePath(node, name) + "/log";
    struct stat before {};
    if (stat(file.c_str(), &before) != 0) return ::testing::AssertionFailure() << file << " cannot be seen";
    return Eventually(absl::Seconds(20), [&] {
      struct stat now {};
      return stat(file.c_str(), &now) == 0 && now.st_size > before.st_size;
    });
  }
  int Mv(const std::string& name, const std::string& from, const std::string& to) {
    const std::string& tree = cluster_.tree(from);
    return Rename(absl::StrCat(tree, "/", from, "/", name), absl::StrCat(tree, "/", to, "/", name));
  }

  TestCluster cluster_;
  Dockerd alpha_;
  Dockerd beta_;
};

}  // namespace flocker::testing
