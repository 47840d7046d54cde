// .trash: where rmdir puts datasets, and what mv, rmdir, rm and time do with them there.
#include <gmock/gmock.h>

#include <cerrno>
#include <filesystem>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "engine/base/subprocess.h"
#include "tests/integration/cluster/cluster_test.h"

namespace flocker::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Trash : public ClusterTest {
 protected:
  explicit Trash(const ClusterOptions& options = {}) : ClusterTest(options) {}

  std::set<std::string> Listed(const std::string& node) {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(cluster_.tree(node) + "/.trash")) {
      names.insert(entry.path().filename());
    }
    return names;
  }
  std::string In(const std::string& node, const std::string& entry) {
    return absl::StrCat(cluster_.tree(node), "/.trash/", entry);
  }
  // Makes, fills and destroys a dataset; what the trash calls it, and its LUN's file.
  struct Destroyed {
    std::string entry;
    std::string lun;
  };
  Destroyed Destroy(const std::string& name, const std::string& content) {
    MakeOnAlpha(name, content);
    const std::string id = cluster_.Find(name)->id;
    EXPECT_EQ(RemoveDir(cluster_.Path("alpha", name)), 0) << cluster_.Why(name);
    return {absl::StrCat(name, "@", id.substr(0, 8)), absl::StrCat(cluster_.dir(), "/pool/", id, ".img")};
  }
};

TEST_F(Trash, HoldsWhatRmdirDestroyedAndMvRestoresIt) {
  const Destroyed db = Destroy("db", "kept");
  const Destroyed web = Destroy("web", "too");
  EXPECT_THAT(Listed("alpha"), ElementsAre(db.entry, web.entry));
  EXPECT_TRUE(Eventually(absl::Seconds(2), [&] { return Listed("beta").size() == 2; }));
  EXPECT_TRUE(std::filesystem::is_empty(In("alpha", db.entry)));
  const auto found = RunCommand({"find", cluster_.tree("alpha") + "/.trash"}, absl::Seconds(10));
  ASSERT_TRUE(found.ok() && found->exit_code == 0);
  EXPECT_TRUE(absl::StrContains(found->output, web.entry)) << found->output;

  // Under the name of its entry, as `mv .trash/db@… alpha/` asks, it gets its own back.
  ASSERT_EQ(Rename(In("alpha", db.entry), cluster_.tree("alpha") + "/alpha/" + db.entry), 0) << cluster_.Why("db");
  EXPECT_EQ(ReadFile(cluster_.Path("alpha", "db") + "/file").value_or("unread"), "kept");
  EXPECT_NE(Open(cluster_.tree("alpha") + "/alpha/" + db.entry), 0);
  // On another node, under another name, by a third tree.
  ASSERT_EQ(Rename(In("beta", web.entry), cluster_.tree("beta") + "/beta/site"), 0) << cluster_.Why("web");
  EXPECT_EQ(ReadFile(cluster_.Path("beta", "site") + "/file").value_or("unread"), "too");
  EXPECT_TRUE(Eventually(absl::Seconds(2), [&] { return Listed("alpha").empty(); }));
}

TEST_F(Trash, KeepsSeveralThatHadOneName) {
  const Destroyed first = Destroy("db", "first");
  const Destroyed second = Destroy("db", "second");
  EXPECT_EQ(Listed("alpha"), (std::set{first.entry, second.entry}));
  MakeOnAlpha("db", "third");
  EXPECT_EQ(Rename(In("alpha", first.entry), cluster_.tree("alpha") + "/alpha/db"), EEXIST);
  ASSERT_EQ(Rename(In("alpha", first.entry), cluster_.tree("alpha") + "/alpha/db1"), 0) << cluster_.Why("db");
  EXPECT_EQ(ReadFile(cluster_.Path("alpha", "db1") + "/file").value_or("unread"), "first");
  EXPECT_THAT(Listed("alpha"), ElementsAre(second.entry));
}

TEST_F(Trash, LosesWhatRmdirOrRmPurges) {
  const Destroyed one = Destroy("one", "1");
  const Destroyed two = Destroy("two", "2");
  EXPECT_TRUE(std::filesystem::exists(one.lun));
  ASSERT_EQ(RemoveDir(In("alpha", one.entry)), 0) << cluster_.Why("one");
  EXPECT_FALSE(std::filesystem::exists(one.lun));
  EXPECT_TRUE(std::filesystem::exists(two.lun));
  ASSERT_TRUE(Eventually(absl::Seconds(2), [&] { return Listed("beta").contains(two.entry); }));
  const auto removed = RunCommand({"rm", "-r", In("beta", two.entry)}, absl::Seconds(20));
  ASSERT_TRUE(removed.ok());
  EXPECT_EQ(removed->exit_code, 0) << removed->output;
  EXPECT_FALSE(std::filesystem::exists(two.lun));
  EXPECT_TRUE(Eventually(absl::Seconds(2), [&] { return Listed("alpha").empty(); }));
}

TEST_F(Trash, IsNoPlaceToMakeAnything) {
  const Destroyed db = Destroy("db", "kept");
  MakeOnAlpha("web");
  EXPECT_EQ(MakeDir(In("alpha", "new")), EPERM);
  EXPECT_EQ(MakeDir(In("alpha", db.entry) + "/new"), EPERM);
  EXPECT_EQ(WriteFile(In("alpha", "file"), "x"), EPERM);
  EXPECT_EQ(WriteFile(In("alpha", db.entry) + "/file", "x"), EPERM);
  EXPECT_EQ(Rename(cluster_.Path("alpha", "web"), In("alpha", "web")), EPERM);
  EXPECT_EQ(Rename(In("alpha", db.entry), In("alpha", "other@12345678")), EPERM);
  EXPECT_EQ(Rename(In("alpha", db.entry), cluster_.Path("alpha", "web") + "/db"), EXDEV);
  EXPECT_EQ(Rename(In("alpha", db.entry), cluster_.tree("alpha") + "/alpha/-bad"), EINVAL);
  EXPECT_EQ(RemoveDir(cluster_.tree("alpha") + "/.trash"), EPERM);
  EXPECT_EQ(RemoveDir(In("alpha", "db")), ENOENT);
  EXPECT_EQ(RemoveDir(In("alpha", "db@00000000")), ENOENT);
  EXPECT_THAT(Listed("alpha"), ElementsAre(db.entry));
}

class ShortTrash : public Trash {
 protected:
  static constexpr absl::Duration kRetention = absl::Seconds(4);
  ShortTrash() : Trash({.control_flags = {"--retention", "4"}}) {}
};

TEST_F(ShortTrash, EndsByItselfAlsoAfterARestartOfControl) {
  const absl::Time before = SteadyNow();
  const Destroyed db = Destroy("db", "kept");
  EXPECT_TRUE(std::filesystem::exists(db.lun));
  cluster_.control().Kill();
  ASSERT_TRUE(cluster_.StartControl().ok());
  EXPECT_TRUE(Eventually(absl::Seconds(30), [&] { return !std::filesystem::exists(db.lun); }));
  EXPECT_GE(SteadyNow() - before, kRetention);
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return Listed("alpha").empty(); }));
  EXPECT_TRUE(cluster_.Happened("it was in the trash for 4s"));
}

class SmallPool : public Trash {
 protected:
  SmallPool() : Trash({.pool_bytes = uint64_t{1} << 30, .control_flags = {"--overcommit", "1"}}) {}
};

TEST_F(SmallPool, ARefusalForWantOfSpaceSaysWhatTheTrashWouldFree) {
  ASSERT_EQ(cluster_.Ctl({"create", "-n", "alpha", "-m", "name=db", "-s", "768M"}).exit_code, 0);
  ASSERT_EQ(RemoveDir(cluster_.Path("alpha", "db")), 0) << cluster_.Why("db");
  const CommandResult refused = cluster_.Ctl({"create", "-n", "alpha", "-m", "name=web", "-s", "768M"});
  EXPECT_EQ(refused.exit_code, 6) << refused.output;
  EXPECT_TRUE(absl::StrContains(refused.output, "The trash holds 1 dataset")) << refused.output;
  EXPECT_TRUE(absl::StrContains(refused.output, "0.75G of what is promised")) << refused.output;
}

}  // namespace
}  // namespace flocker::testing
