// What a user of docker sees of a volume: made by its first use, with its options, on whichever node, removed.
#include <sys/stat.h>
#include <sys/xattr.h>

#include <array>
#include <thread>

#include "absl/strings/match.h"
#include "tests/docker/plugin/docker_test.h"

namespace flocker::testing {
namespace {

class Volume : public DockerTest {
 protected:
  Volume() : DockerTest({.agent_flags = {"--docker-profile", "gold=256M"}}) {}

  std::string Attribute(const std::string& node, const std::string& name, const std::string& attribute) {
    std::array<char, 1024> value{};
    const ssize_t size = getxattr(cluster_.Path(node, name).c_str(), attribute.c_str(), value.data(), value.size());
    return size < 0 ? "none" : std::string(value.data(), static_cast<size_t>(size));
  }
};

TEST_F(Volume, IsMadeByItsFirstUseAndKeepsItsFiles) {
  EXPECT_EQ(Once(alpha_, "db", "stat -c %a /data && ls -A /data && echo one >/data/file"), "777\n");
  EXPECT_TRUE(cluster_.AttachedOn("alpha", "db"));
  EXPECT_EQ(Once(alpha_, "db", "cat /data/file"), "one\n");
  EXPECT_EQ(Once(alpha_, With("db", {"--rm", "--user", "1000"}), "echo two >/data/mine && stat -c %u /data/mine"),
            "1000\n");
  const CommandResult listed = beta_.Docker({"volume", "ls"});
  EXPECT_TRUE(absl::StrContains(listed.output, "flocker   db")) << listed.output;
  const CommandResult seen = beta_.Docker(
      {"volume", "inspect", "--format", "{{.Scope}} {{.Status.node}} {{.Status.state}} [{{.Mountpoint}}]", "db"});
  EXPECT_EQ(seen.output, "global alpha attached []\n");
}

TEST_F(Volume, IsFilledFromTheImage) {
  // A fresh root is empty, so that docker copies what the image has there.
  EXPECT_EQ(Once(alpha_, {"--rm", "--volume-driver", "flocker", "--volume", "db:/bin"}, "ls /bin/busybox"),
            "/bin/busybox\n");
  EXPECT_EQ(Once(alpha_, "db", "test -x /data/busybox && echo there"), "there\n");
}

TEST_F(Volume, TakesSizeProfileAndLabels) {
  const auto make = [&](std::vector<std::string> args) {
    args.insert(args.begin(), {"volume", "create", "--driver", "flocker"});
    return alpha_.Docker(args);
  };
  EXPECT_EQ(make({"--opt", "size=128M", "--opt", "profile=gold", "--opt", "team=x", "sized"}).exit_code, 0);
  EXPECT_EQ(Attribute("alpha", "sized", "flocker.size"), "134217728");
  EXPECT_EQ(Attribute("alpha", "sized", "flocker.metadata.team"), "x");
  EXPECT_EQ(Attribute("alpha", "sized", "flocker.metadata.clusterhq:flocker:profile"), "gold");
  EXPECT_EQ(make({"--opt", "profile=gold", "golden"}).exit_code, 0);
  EXPECT_EQ(Attribute("alpha", "golden", "flocker.size"), "268435456");
  EXPECT_EQ(make({"sized"}).exit_code, 0);  // it is there
  const CommandResult bad = make({"--opt", "size=large", "bad"});
  EXPECT_NE(bad.exit_code, 0);
  EXPECT_TRUE(absl::StrContains(bad.output, "'large' is not a size")) << bad.output;
  EXPECT_FALSE(cluster_.Find("bad"));
}

TEST_F(Volume, IsMadeOnceHoweverManyWantIt) {
  std::vector<std::thread> askers;
  std::array<int, 12> codes{};
  for (size_t i = 0; i < codes.size(); ++i) {
    askers.emplace_back([&, i] {
      const Dockerd& dockerd = i % 2 == 0 ? alpha_ : beta_;
      codes.at(i) = i < 8 ? dockerd.Docker({"volume", "create", "--driver", "flocker", "db"}).exit_code
                          : alpha_.Run(With("own" + std::to_string(i % 2), {"--rm", "box", "true"})).exit_code;
    });
  }
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(codes, (std::array<int, 12>{}));
  EXPECT_EQ(cluster_.List().size(), 3U);
}

TEST_F(Volume, IsUsedOnTheOtherNodeAfterMv) {
  ASSERT_EQ(Once(alpha_, "db", "echo one >/data/file"), "");
  ASSERT_EQ(Mv("db", "alpha", "beta"), 0) << cluster_.Why("db");
  EXPECT_EQ(Once(beta_, "db", "cat /data/file"), "one\n");
}

TEST_F(Volume, FollowsItsContainerWhenItIsIdle) {
  ASSERT_EQ(Once(alpha_, "db", "echo one >/data/file"), "");
  EXPECT_EQ(Once(beta_, "db", "cat /data/file && echo two >/data/file"), "one\n");
  EXPECT_TRUE(cluster_.AttachedOn("beta", "db"));
  EXPECT_EQ(Once(alpha_, "db", "cat /data/file"), "two\n");
}

TEST_F(Volume, InUseElsewhereIsRefusedWithNodeAndContainer) {
  const std::string writer = StartWriter(alpha_, "db");
  const CommandResult refused = beta_.Run(With("db", {"--rm", "box", "true"}));
  EXPECT_EQ(refused.exit_code, 125);
  EXPECT_TRUE(absl::StrContains(refused.output, "volume db is on node alpha")) << refused.output;
  EXPECT_TRUE(absl::StrContains(refused.output, "in container " + writer.substr(0, 12))) << refused.output;
  EXPECT_TRUE(Writes("alpha", "db"));
  // Nor is it destroyed from there.
  const CommandResult removed = beta_.Docker({"volume", "rm", "db"});
  EXPECT_NE(removed.exit_code, 0);
  EXPECT_TRUE(absl::StrContains(removed.output, writer.substr(0, 12))) << removed.output;
  EXPECT_TRUE(Writes("alpha", "db"));
  EXPECT_EQ(alpha_.Docker({"rm", "--force", "writer"}).exit_code, 0);
  EXPECT_EQ(Once(beta_, "db", "test -s /data/log && echo there"), "there\n");
}

TEST_F(Volume, RemovedIsInTheTrash) {
  ASSERT_EQ(Once(alpha_, "db", "echo one >/data/file"), "");
  const std::string id = cluster_.Id("db");
  const CommandResult removed = alpha_.Docker({"volume", "rm", "db"});
  EXPECT_EQ(removed.exit_code, 0) << removed.output;
  struct stat trashed {};
  EXPECT_EQ(stat(absl::StrCat(cluster_.tree("alpha"), "/.trash/db@", id.substr(0, 8)).c_str(), &trashed), 0);
  EXPECT_FALSE(absl::StrContains(alpha_.Docker({"volume", "ls"}).output, "db"));
  EXPECT_EQ(Once(alpha_, "db", "ls -A /data"), "");  // a new one
}

}  // namespace
}  // namespace flocker::testing
