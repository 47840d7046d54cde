// dockerd on the nodes, and the tree's directories as volumes of containers.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/lab/cluster/scenario.h"

namespace flocker::lab {
namespace {

class Containers : public Scenario {
 protected:
  Containers() : Scenario({.nodes = 2, .docker = true}) {}

  void SetUp() override {
    Scenario::SetUp();
    const absl::Time start = absl::Now();
    for (Machine* machine : cluster().nodes()) Until(*machine, "docker image inspect box", absl::Minutes(4));
    Report("dockerd has its image", absl::Now() - start);
  }

  // What a person types on any node: `self` is where they are.
  std::string Volume() const { return absl::StrCat("/flocker/self/", dataset_); }
  std::string Docker(const std::string& command) const {
    return absl::StrCat("docker run --rm --network none -v ", Volume(), ":/data box sh -c '", command, "'");
  }
};

TEST_F(Containers, AVolumeMovesWithItsContainer) {
  Create(1);
  Run(node(1), Docker("echo one >/data/file && sync /data/file"));
  RecordWriter writer(node(1), "first", "/data/records", Volume());
  ASSERT_TRUE(writer.Start());
  // While the container runs it is in use, whoever asks.
  EXPECT_FALSE(Succeeds(node(2), absl::StrCat("mv ", Path(1), " ", Path(2))));
  ASSERT_TRUE(writer.WaitFor(writer.Acknowledged() + 5, absl::Minutes(1)));
  writer.End();
  const int acknowledged = writer.Acknowledged();
  const absl::Time start = absl::Now();
  Move(node(2), 1, 2);
  EXPECT_EQ(Run(node(2), Docker("cat /data/file")), "one\n");
  Report("from mv to the output of a container on the other node", absl::Now() - start);
  const auto records = ReadRecords(node(2), Path(2) + "/records");
  ASSERT_EQ(records.size(), 1U);
  EXPECT_GE(records[0].second, acknowledged);
  // No container starts on an empty directory where its volume is not.
  EXPECT_FALSE(Succeeds(node(1), Docker("true")));
  Run(node(1), "rmdir " + Path(2));
}

TEST_F(Containers, EveryAcknowledgedRecordSurvivesThePowerCutOfItsNode) {
  Create(1);
  RecordWriter first(node(1), "first", "/data/records", Volume());
  RecordWriter second(node(2), "second", "/data/records", Volume());
  Records records;
  ASSERT_NO_FATAL_FAILURE(FailOver(first, second, records));

  const absl::Status whole = cluster().Boot();
  ASSERT_TRUE(whole.ok()) << whole;
  Until(node(1), "docker rm first");
  Move(node(1), 2, 1);
  EXPECT_EQ(Run(node(1), Docker("tail -n 1 /data/records | cut -d \" \" -f 1")), "second\n");
  EXPECT_EQ(ReadRecords(node(1), Path(1) + "/records"), records);
  Run(node(2), "rmdir " + Path(1));
}

TEST_F(Containers, AVolumeOfThePluginIsMadeByItsFirstUseAndFollowsItsContainer) {
  const auto docker = [&](const std::string& command) {
    return absl::StrCat("docker run --rm --network none --volume-driver flocker -v ", dataset_, ":/data box sh -c '",
                        command, "'");
  };
  const absl::Time first = absl::Now();
  Run(node(1), docker("echo one >/data/file && sync /data/file"));
  Report("from docker run, which makes the volume, to its end", absl::Now() - first);
  const absl::Time second = absl::Now();
  EXPECT_EQ(Run(node(2), docker("cat /data/file")), "one\n");
  Report("from docker run to its output on the other node", absl::Now() - second);
  Run(node(2), "docker volume rm " + dataset_);
  EXPECT_FALSE(Succeeds(node(1), "ls -d " + Path(2)));
}

}  // namespace
}  // namespace flocker::lab
