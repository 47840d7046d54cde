// Containers without the plugin: `docker run -v` of a path in the tree.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "tests/docker/plugin/docker_test.h"

namespace flocker::testing {
namespace {

class Bind : public DockerTest {
 protected:
  using DockerTest::DockerTest;

  std::string Run(const std::string& path, const std::string& user, const std::string& script) {
    return Once(alpha_, {"--rm", "--user", user, "--volume", absl::StrCat(cluster_.tree("alpha"), "/", path, ":/data")},
                script);
  }
};

TEST_F(Bind, OfAPathInTheTree) {
  ASSERT_EQ(MakeDir(cluster_.Path("alpha", "db")), 0);
  EXPECT_EQ(Run("self/db", "0", "echo one >/data/file && mkdir -m 777 /data/all && cat /data/file"), "one\n");
  EXPECT_EQ(Run("self/db", "1000", "echo two >/data/all/mine && cat /data/file && stat -c %u /data/all/mine"),
            "one\n1000\n");
  EXPECT_TRUE(absl::StrContains(Run("self/db", "1000", "echo no >/data/file"), "Permission denied"));
  ASSERT_EQ(Mv("db", "alpha", "beta"), 0) << cluster_.Why("db");
  // No container finds an empty directory where its dataset is not.
  EXPECT_TRUE(absl::StartsWith(Run("self/db", "0", "true"), "exit code 125"));
  EXPECT_TRUE(absl::StrContains(Run("beta/db", "0", "ls /data"), "Object is remote"));
}

TEST_F(Bind, OfADatasetByItsId) {
  ASSERT_EQ(MakeDir(cluster_.Path("alpha", "db")), 0);
  const std::string id = cluster_.Id("db");
  EXPECT_EQ(Run(id, "0", "echo one >/data/file && chmod 777 /data && cat /data/file"), "one\n");
  EXPECT_EQ(Run(id, "1000", "echo two >/data/mine && cat /data/file && stat -c %u /data/mine"), "one\n1000\n");
}

TEST_F(Bind, OfAPathThatIsNotThereMakesADataset) {
  EXPECT_EQ(Run("self/fresh", "0", "echo one >/data/file && cat /data/file"), "one\n");
  EXPECT_TRUE(cluster_.AttachedOn("alpha", "fresh"));
}

class BindWithoutCreating : public Bind {
 protected:
  BindWithoutCreating() : Bind({.agent_flags = {"--no-create-on-bind"}}) {}
};

TEST_F(BindWithoutCreating, OfAPathThatIsNotThereIsRefused) {
  const std::string refused = Run("self/typo", "0", "true");
  EXPECT_TRUE(absl::StartsWith(refused, "exit code 125")) << refused;
  EXPECT_TRUE(absl::StrContains(refused, "operation not permitted")) << refused;
  EXPECT_TRUE(absl::StrContains(cluster_.Ctl({"events"}).output, "create_on_bind")) << "the reason is not told";
  EXPECT_FALSE(cluster_.Find("typo"));
  ASSERT_EQ(MakeDir(cluster_.Path("alpha", "db")), 0);  // everybody else may
  EXPECT_EQ(Run("self/db", "0", "echo one >/data/file && cat /data/file"), "one\n");
}

}  // namespace
}  // namespace flocker::testing
