// The levels of the tree, and what its changes ask of the cluster.
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/catalog/inode_numbers.h"
#include "tests/integration/fusefs/rig.h"

namespace flocker::testing {
namespace {

using TreeTest = Rig;

std::set<std::string> Names(const std::string& path) {
  std::set<std::string> names;
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return names;
  while (const dirent* entry = readdir(directory)) names.insert(static_cast<const char*>(entry->d_name));
  closedir(directory);
  names.erase(".");
  names.erase("..");
  return names;
}

std::string Target(const std::string& path) {
  std::array<char, 4096> target{};
  const ssize_t size = readlink(path.c_str(), target.data(), target.size());
  return size < 0 ? absl::StrCat("errno ", errno) : std::string(target.data(), static_cast<size_t>(size));
}

TEST_F(TreeTest, ListsNodesAndTheirDatasets) {
  Add("one", alpha_);
  Add("two", beta_);
  EXPECT_EQ(Names(Tree("")), (std::set<std::string>{"self", ".trash", ".flocker", "alpha", "beta", "gamma"}));
  EXPECT_EQ(Names(Tree("alpha")), std::set<std::string>{"one"});
  EXPECT_EQ(Names(Tree("beta")), std::set<std::string>{"two"});
  EXPECT_EQ(Names(Tree("self")), std::set<std::string>{"one"});
  EXPECT_EQ(Target(Tree("self")), "alpha");
}

TEST_F(TreeTest, UuidLeadsToTheNativeMountOrToTheNode) {
  const CatalogDataset here = Attached("here");
  const CatalogDataset there = Add("there", beta_, Phase::kAttached);
  EXPECT_EQ(Target(Tree(here.id.str())), Native(here));
  EXPECT_EQ(Target(Tree(there.id.str())), "beta/there");
  EXPECT_EQ(access(Tree("00000000-0000-4000-8000-000000000000").c_str(), F_OK), -1);
  EXPECT_EQ(errno, ENOENT);
}

TEST_F(TreeTest, DatasetsHaveTheirAttributesBeforeAndAfterTheAttach) {
  CatalogDataset dataset = Add("data", alpha_);
  dataset.root_uid = 1000;
  dataset.root_gid = 1001;
  dataset.root_mode = 0750;
  Publish(dataset);
  struct stat before {};
  ASSERT_EQ(stat(Tree("alpha/data").c_str(), &before), 0);
  EXPECT_EQ(before.st_ino, RootInode(dataset.id));
  EXPECT_EQ(before.st_mode, static_cast<mode_t>(S_IFDIR | 0750));
  EXPECT_EQ(before.st_uid, 1000U);
  EXPECT_EQ(before.st_gid, 1001U);
  dataset = Attach(dataset);
  struct stat after {};
  ASSERT_EQ(stat(Tree("alpha/data").c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, FileInode(dataset.serial, 2));
  EXPECT_EQ(after.st_mode, static_cast<mode_t>(S_IFDIR | 0755));  // as mkfs made it
}

TEST_F(TreeTest, MakesADatasetWithTheCallersOwnershipAndUmask) {
  auto made = Later([&] {
    return As({0, 0, {}, 027}, [&] { return mkdir(Tree("alpha/fresh").c_str(), 0777) == 0 ? 0 : errno; });
  });
  const auto operation = agent_->NextOperation();
  ASSERT_TRUE(operation.has_value());
  EXPECT_EQ(operation->create().node_id(), alpha_.str());
  EXPECT_EQ(operation->create().name(), "fresh");
  EXPECT_EQ(operation->create().root_mode(), 0750U);
  EXPECT_EQ(operation->caller().via(), "tree");
  EXPECT_FALSE(Done(made, absl::Milliseconds(100)));
  const CatalogDataset dataset = Add("fresh", alpha_, Phase::kProvisioning);
  agent_->Reply(operation->id(), "", dataset.id.str());
  ASSERT_TRUE(Done(made, absl::Seconds(5)));
  EXPECT_EQ(made.get(), 0);
}

TEST_F(TreeTest, AnsweredMkdirWaitsForTheCatalogueToShowIt) {
  auto made = Later([&] { return MakeDir(Tree("alpha/fresh")); });
  const auto operation = agent_->NextOperation();
  ASSERT_TRUE(operation.has_value());
  CatalogDataset dataset;
  dataset.id = *DatasetId::Parse("12345678-0000-4000-8000-000000000000");
  dataset.name = "fresh";
  dataset.node = alpha_;
  agent_->Reply(operation->id(), "", dataset.id.str());
  EXPECT_FALSE(Done(made, absl::Milliseconds(200)));
  Publish(dataset);
  ASSERT_TRUE(Done(made, absl::Seconds(1)));
  EXPECT_EQ(made.get(), 0);
  EXPECT_EQ(Names(Tree("alpha")), std::set<std::string>{"fresh"});
}

TEST_F(TreeTest, EveryCauseHasItsErrno) {
  Add("data", alpha_);
  const std::vector<std::pair<std::string, int>> causes = {{"busy", EBUSY},
                                                           {"exists", EEXIST},
                                                           {"not-found", ENOENT},
                                                           {"invalid", EINVAL},
                                                           {"no-space", ENOSPC},
                                                           {"node-down", EHOSTDOWN},
                                                           {"elsewhere", EREMOTE},
                                                           {"no-control", EROFS},
                                                           {"forbidden", EPERM},
                                                           {"denied", EACCES},
                                                           {"timeout", ETIMEDOUT},
                                                           {"stale", ESTALE},
                                                           {"in-progress", EINPROGRESS},
                                                           {"interrupted", EINTR},
                                                           {"io", EIO}};
  for (const auto& [cause, error] : causes) {
    agent_->AnswerWith([cause = cause](const rpc::OperationRequest& request) {
      rpc::OperationReply reply;
      reply.set_id(request.id());
      reply.mutable_outcome()->set_cause(cause);
      return reply;
    });
    EXPECT_EQ(MakeDir(Tree("alpha/x")), error) << cause;
    EXPECT_EQ(testing::Rename(Tree("alpha/data"), Tree("beta/data")), error) << cause;
    EXPECT_EQ(RemoveDir(Tree("alpha/data")), error) << cause;
  }
}

TEST_F(TreeTest, RefusesWhatIsPlainlyWrongWithoutAsking) {
  Add("data", alpha_);
  Add("other", beta_);
  EXPECT_EQ(MakeDir(Tree("alpha/-x")), EINVAL);
  EXPECT_EQ(MakeDir(Tree("alpha/self")), EINVAL);
  EXPECT_EQ(MakeDir(Tree("alpha/a b")), EINVAL);
  EXPECT_EQ(MakeDir(Tree("alpha/" + std::string(129, 'a'))), EINVAL);
  EXPECT_EQ(MakeDir(Tree("alpha/00000000-0000-4000-8000-000000000000")), EINVAL);
  EXPECT_EQ(MakeDir(Tree("delta")), EPERM);
  EXPECT_EQ(MakeDir(Tree(".trash")), EEXIST);
  EXPECT_EQ(MakeDir(Tree(".trash/x")), EPERM);
  EXPECT_EQ(MakeDir(Tree("delta/x")), ENOENT);
  EXPECT_EQ(MakeDir(Tree("gamma/x")), EHOSTDOWN);
  EXPECT_EQ(RemoveDir(Tree("beta")), EPERM);
  EXPECT_EQ(RemoveDir(Tree("alpha/none")), ENOENT);
  EXPECT_EQ(testing::Rename(Tree("alpha"), Tree("delta")), EPERM);
  EXPECT_EQ(testing::Rename(Tree("alpha/data"), Tree("data")), EPERM);
  EXPECT_EQ(testing::Rename(Tree("alpha/data"), Tree("gamma/data")), EHOSTDOWN);
  EXPECT_EQ(testing::Rename(Tree("alpha/data"), Tree("beta/other")), EEXIST);
  EXPECT_EQ(testing::Rename(Tree("alpha/data"), Tree("beta/-")), EINVAL);
  EXPECT_EQ(renameat2(AT_FDCWD, Tree("alpha/data").c_str(), AT_FDCWD, Tree("beta/other").c_str(), RENAME_WHITEOUT), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(WriteFile(Tree("file"), ""), EPERM);
  EXPECT_EQ(WriteFile(Tree("alpha/file"), ""), EPERM);
  EXPECT_EQ(symlink("x", Tree("alpha/link").c_str()), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(unlink(Tree("self").c_str()), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_FALSE(agent_->NextOperation(absl::Milliseconds(50)).has_value());
  EXPECT_TRUE(Eventually(absl::Seconds(5), [&] {
    for (const rpc::Refusal& refusal : agent_->refusals()) {
      if (refusal.name() == "-x" && refusal.cause() == "invalid") return true;
    }
    return false;
  }));
}

TEST_F(TreeTest, MoveByThisKernelKeepsTheDirectory) {
  CatalogDataset dataset = Add("data", alpha_);
  const unique_fd held(open(Tree("alpha/data").c_str(), O_PATH | O_DIRECTORY));
  ASSERT_TRUE(held.valid());
  auto moved = Later([&] { return testing::Rename(Tree("alpha/data"), Tree("beta/renamed")); });
  const auto operation = agent_->NextOperation();
  ASSERT_TRUE(operation.has_value());
  EXPECT_EQ(operation->rename().dataset_id(), dataset.id.str());
  EXPECT_EQ(operation->rename().node_id(), beta_.str());
  EXPECT_EQ(operation->rename().name(), "renamed");
  dataset.node = beta_;
  dataset.name = "renamed";
  Publish(dataset);
  agent_->Reply(operation->id(), "", dataset.id.str());
  ASSERT_TRUE(Done(moved, absl::Seconds(5)));
  EXPECT_EQ(moved.get(), 0);
  EXPECT_EQ(Target(absl::StrCat("/proc/self/fd/", held.get())), Tree("beta/renamed"));
  EXPECT_EQ(Names(Tree("alpha")), std::set<std::string>{});
  EXPECT_EQ(testing::Open(Tree("beta/renamed")), EREMOTE);
}

TEST_F(TreeTest, RemovingADatasetAsksForItsDestruction) {
  const CatalogDataset dataset = Attached("data");
  ASSERT_EQ(WriteFile(Tree("alpha/data/file"), "not empty"), 0);
  auto removed = Later([&] { return RemoveDir(Tree("alpha/data")); });
  const auto operation = agent_->NextOperation();
  ASSERT_TRUE(operation.has_value());
  EXPECT_EQ(operation->destroy().dataset_id(), dataset.id.str());
  EXPECT_FALSE(Done(removed, absl::Milliseconds(50)));
  Remove(dataset);
  agent_->Reply(operation->id(), "", dataset.id.str());
  ASSERT_TRUE(Done(removed, absl::Seconds(5)));
  EXPECT_EQ(removed.get(), 0);
}

TEST_F(TreeTest, BadNamesAndPlacesHaveTheirErrno) {
  Attached("data");
  ASSERT_EQ(WriteFile(Tree("alpha/data/file"), "content"), 0);
  for (const std::string& name :
       {std::string("a\x01b"), std::string("caf\xe9"), std::string("Zo\xc3\xab"), std::string("a b"), std::string("-x"),
        std::string("self"), std::string(129, 'x'), std::string(255, 'x')}) {
    EXPECT_EQ(MakeDir(Tree("alpha/" + name)), EINVAL) << name;
    EXPECT_EQ(testing::Rename(Tree("alpha/data"), Tree("alpha/" + name)), EINVAL) << name;
    EXPECT_EQ(access(Tree("alpha/" + name).c_str(), F_OK), -1);
    EXPECT_EQ(errno, ENOENT) << name;
  }
  EXPECT_EQ(MakeDir(Tree("alpha/" + std::string(256, 'x'))), EINVAL);
  EXPECT_EQ(MakeDir(Tree("alpha/data/file/x")), ENOTDIR);
  EXPECT_EQ(testing::Rename(Tree("alpha/data"), Tree("alpha/data/file")), EINVAL) << "into itself";
  EXPECT_EQ(testing::Rename(Tree("alpha/data/file"), Tree("alpha/other")), EXDEV);
  EXPECT_EQ(testing::Rename(Tree("alpha/data"), Tree("alpha/data/x/y")), ENOENT);
  EXPECT_FALSE(agent_->NextOperation(absl::Milliseconds(50)).has_value());
  // Inside a dataset any name is ext4's.
  for (const std::string& name : {std::string("a\x01b"), std::string("caf\xe9"), std::string(255, 'x')}) {
    EXPECT_EQ(WriteFile(Tree("alpha/data/" + name), "x"), 0) << name;
  }
}

TEST_F(TreeTest, WithoutControlOrAgentNothingChangesAndEverythingIsSeen) {
  const CatalogDataset dataset = Attached("data");
  ASSERT_EQ(WriteFile(Tree("alpha/data/file"), "content"), 0);
  agent_->SetReachable(false);
  // Answered on the same stream, so behind the news that control is away.
  rpc::Description description;
  description.set_known(true);
  agent_->Describe(description);
  EXPECT_EQ(getxattr(Tree("alpha/data").c_str(), "flocker.protect", nullptr, 0), 1);
  EXPECT_EQ(MakeDir(Tree("alpha/x")), EROFS);
  agent_->Stop();
  const absl::Time start = absl::Now();
  EXPECT_EQ(MakeDir(Tree("alpha/x")), EROFS);
  EXPECT_EQ(RemoveDir(Tree("alpha/data")), EROFS);
  EXPECT_EQ(testing::Rename(Tree("alpha/data"), Tree("beta/data")), EROFS);
  EXPECT_EQ(Names(Tree("alpha")), std::set<std::string>{"data"});
  EXPECT_EQ(WriteFile(Tree("alpha/data/file"), "more"), 0);
  EXPECT_LT(absl::Now() - start, absl::Seconds(1));
  agent_->SetReachable(true);
  agent_->Start();
  ASSERT_TRUE(agent_->WaitConnected());
  ASSERT_TRUE(Eventually(absl::Seconds(5), [&] {  // behind the news that control is back
    return getxattr(Tree("alpha/data").c_str(), "flocker.protect", nullptr, 0) == 1;
  }));
  auto removed = Later([&] { return RemoveDir(Tree("alpha/data")); });
  const auto operation = agent_->NextOperation();
  ASSERT_TRUE(operation.has_value());
  agent_->Reply(operation->id(), "busy");
  EXPECT_EQ(removed.get(), EBUSY);
}

TEST_F(TreeTest, OperationIsSentAgainWhenTheAgentComesBack) {
  auto removed = Later([&] { return MakeDir(Tree("alpha/x")); });
  const auto operation = agent_->NextOperation();
  ASSERT_TRUE(operation.has_value());
  agent_->Stop();
  EXPECT_FALSE(Done(removed, absl::Milliseconds(100)));
  agent_->Start();
  const auto again = agent_->NextOperation();
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->id(), operation->id());
  agent_->Reply(again->id(), "no-space");
  ASSERT_TRUE(Done(removed, absl::Seconds(5)));
  EXPECT_EQ(removed.get(), ENOSPC);
}

TEST_F(TreeTest, OperationThatTakesTooLongGoesOnWithoutItsCaller) {
  StartDaemon({"--op-timeout", "0.3"});
  const absl::Time start = absl::Now();
  EXPECT_EQ(MakeDir(Tree("alpha/x")), EINPROGRESS);
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
}

TEST_F(TreeTest, ManyPendingOperationsDoNotDisturbAnybody) {
  Attached("data");
  ASSERT_EQ(WriteFile(Tree("alpha/data/file"), "content"), 0);
  std::vector<std::future<int>> pending;
  for (int i = 0; i < 30; ++i) {
    // In beta: the kernel serializes changes of one directory, so that one is asked and the others wait for its lock.
    Add(absl::StrCat("d", i), i % 2 == 0 ? beta_ : gamma_);
    pending.push_back(Later([this, i] { return RemoveDir(Tree(absl::StrCat(i % 2 == 0 ? "beta/d" : "gamma/d", i))); }));
  }
  const auto first = agent_->NextOperation();
  ASSERT_TRUE(first.has_value());
  const absl::Time start = absl::Now();
  struct stat attributes {};
  EXPECT_EQ(stat(Tree("alpha/data/file").c_str(), &attributes), 0);
  EXPECT_EQ(Names(Tree("alpha")), std::set<std::string>{"data"});
  EXPECT_EQ(WriteFile(Tree("alpha/data/other"), "content"), 0);
  EXPECT_LT(absl::Now() - start, absl::Milliseconds(500));
  agent_->AnswerWith([](const rpc::OperationRequest& request) {
    rpc::OperationReply reply;
    reply.set_id(request.id());
    reply.mutable_outcome()->set_cause("busy");
    return reply;
  });
  agent_->Reply(first->id(), "busy");
  while (const auto operation = agent_->NextOperation(absl::Milliseconds(100))) agent_->Reply(operation->id(), "busy");
  for (auto& one : pending) {
    ASSERT_TRUE(Done(one, absl::Seconds(10)));
    EXPECT_EQ(one.get(), EBUSY);
  }
}

TEST_F(TreeTest, OnlyRootAndTheGroupMayChangeTheTree) {
  Add("data", alpha_);
  const Identity user = {1000, 1000, {}, 022};
  EXPECT_EQ(As(user, [&] { return MakeDir(Tree("alpha/x")); }), EACCES);
  EXPECT_EQ(As(user, [&] { return RemoveDir(Tree("alpha/data")); }), EACCES);
  EXPECT_EQ(As(user, [&] { return testing::Rename(Tree("alpha/data"), Tree("beta/data")); }), EACCES);
  EXPECT_EQ(As(user, [&] { return access(Tree("alpha").c_str(), R_OK | X_OK) == 0 ? 0 : errno; }), 0);
  EXPECT_EQ(As(user, [&] { return access(Tree("alpha").c_str(), W_OK) == 0 ? 0 : errno; }), EACCES);
}

TEST_F(TreeTest, EndsOnRequestAlsoWhileSomebodySitsInIt) {
  const unique_fd held(open(Tree("alpha").c_str(), O_RDONLY | O_DIRECTORY));
  ASSERT_TRUE(held.valid());
  EXPECT_TRUE(daemon_->Stop(absl::Seconds(5)).ok());
  EXPECT_EQ(access(Tree("alpha").c_str(), F_OK), -1);
  EXPECT_EQ(errno, ENOENT);
}

}  // namespace
}  // namespace flocker::testing
