#include "engine/docker/volume_driver.h"

#include <gtest/gtest.h>

#include <deque>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "engine/base/status.h"
#include "engine/rpc/channel.h"

namespace flocker::docker {
namespace {

const NodeId kSelf = *NodeId::Parse("11111111-1111-4111-8111-111111111111");
const DatasetId kDb = *DatasetId::Parse("22222222-2222-4222-8222-222222222222");

// A node `alpha` whose control answers when the test says so.
class Driver : public ::testing::Test {
 protected:
  VolumeDriver::World World() {
    return {.find = [this](const std::string& name) -> std::optional<Volume> {
              const auto it = volumes_.find(name);
              if (it == volumes_.end()) return std::nullopt;
              return it->second;
            },
            .list =
                [this] {
                  std::vector<Volume> all;
                  for (auto it = volumes_.rbegin(); it != volumes_.rend(); ++it) all.push_back(it->second);
                  return all;
                },
            .execute =
                [this](const rpc::OperationRequest& request) {
                  if (reachable_) asked_.push_back(request);
                  return reachable_;
                },
            .informed = [this] { return reachable_; }};
  }

  void Elsewhere(const std::string& name) { volumes_[name] = {.id = kDb, .name = name, .node = "beta"}; }
  void Here(const std::string& name, const std::string& path) {
    volumes_[name] = {.id = kDb, .name = name, .node = "alpha", .here = true, .path = path, .phase = "attaching"};
  }
  // The number under which its answer will be in answers_.
  int Call(const std::string& call, const std::string& body) {
    const int number = calls_++;
    EXPECT_TRUE(driver_.Handle(
        call, body, {},
        [this, number](std::string text) {
          EXPECT_FALSE(answers_.contains(number)) << "answered twice";
          answers_[number] = nlohmann::json::parse(text);
        },
        now_));
    return number;
  }
  int Mount(const std::string& name) { return Call("/VolumeDriver.Mount", nlohmann::json{{"Name", name}}.dump()); }
  std::string Mountpoint(int number) { return answers_[number].value("Mountpoint", ""); }
  std::string Err(int number) { return answers_.contains(number) ? answers_[number].at("Err") : "no answer"; }
  void Reply(const rpc::OperationRequest& request, const absl::Status& outcome) {
    rpc::OperationReply reply;
    reply.set_id(request.id());
    *reply.mutable_outcome() = ToOutcome(outcome);
    driver_.OnReply(reply, now_);
  }
  rpc::OperationRequest Asked() {
    EXPECT_FALSE(asked_.empty());
    if (asked_.empty()) return {};
    rpc::OperationRequest first = asked_.front();
    asked_.pop_front();
    return first;
  }
  void Pass(absl::Duration time) {
    now_ += time;
    driver_.OnTick(now_);
  }

  bool reachable_ = true;
  std::map<std::string, Volume> volumes_;
  std::deque<rpc::OperationRequest> asked_;
  std::map<int, nlohmann::json> answers_;
  int calls_ = 0;
  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  VolumeDriver driver_{kSelf, {{"gold", uint64_t{200} << 30}}, World()};
};

TEST_F(Driver, SaysWhatItIs) {
  EXPECT_EQ(answers_[Call("/Plugin.Activate", "")]["Implements"][0], "VolumeDriver");
  EXPECT_EQ(answers_[Call("/VolumeDriver.Capabilities", "")]["Capabilities"]["Scope"], "global");
  EXPECT_FALSE(driver_.Handle(
      "/VolumeDriver.Dance", "{}", {}, [](const std::string&) {}, now_));
}

TEST_F(Driver, CreatesHereWithARootForEveryUser) {
  const int call = Call("/VolumeDriver.Create", R"({"Name":"db","Opts":{"profile":"gold","a":"b"}})");
  const rpc::OperationRequest asked = Asked();
  EXPECT_EQ(Err(call), "no answer");
  EXPECT_EQ(asked.create().node_id(), kSelf.str());
  EXPECT_EQ(asked.create().name(), "db");
  EXPECT_EQ(asked.create().size(), uint64_t{200} << 30);
  EXPECT_EQ(asked.create().root_mode(), 0777U);
  EXPECT_EQ(asked.create().metadata().at("a"), "b");
  Reply(asked, absl::OkStatus());
  EXPECT_EQ(Err(call), "");
  EXPECT_TRUE(driver_.idle());
}

TEST_F(Driver, CreatesAtTheSameTimeAllSucceed) {
  const int first = Call("/VolumeDriver.Create", R"({"Name":"db"})");
  const int second = Call("/VolumeDriver.Create", R"({"Name":"db"})");
  Reply(Asked(), absl::OkStatus());
  Reply(Asked(), Refuse(Cause::kExists, "taken"));
  EXPECT_EQ(Err(first), "");
  EXPECT_EQ(Err(second), "");
  Elsewhere("db");
  EXPECT_EQ(Err(Call("/VolumeDriver.Create", R"({"Name":"db"})")), "");
  EXPECT_TRUE(asked_.empty());
}

TEST_F(Driver, PassesControlsRefusalOn) {
  const int call = Call("/VolumeDriver.Create", R"({"Name":"db"})");
  Reply(Asked(), Refuse(Cause::kNoSpace, "the pool is full"));
  EXPECT_EQ(Err(call), "the pool is full");
  reachable_ = false;
  EXPECT_TRUE(absl::StrContains(Err(Call("/VolumeDriver.Create", R"({"Name":"db"})")), "cannot be reached"));
}

TEST_F(Driver, MountsWhatIsHereAtOnceAlsoWithoutControl) {
  reachable_ = false;
  Here("db", "/mnt/db");
  const int call = Mount("db");
  EXPECT_EQ(Err(call), "");
  EXPECT_EQ(Mountpoint(call), "/mnt/db");
}

TEST_F(Driver, MountWaitsForTheAttach) {
  Here("db", "");
  const int call = Mount("db");
  Pass(absl::Seconds(60));
  EXPECT_EQ(Err(call), "no answer");
  EXPECT_TRUE(asked_.empty());
  Here("db", "/mnt/db");
  driver_.OnChanged(now_);
  EXPECT_EQ(Mountpoint(call), "/mnt/db");
}

TEST_F(Driver, MountMovesWhatIsElsewhereOnceForAllWhoWant) {
  Elsewhere("db");
  const int first = Mount("db");
  const int second = Mount("db");
  const rpc::OperationRequest asked = Asked();
  EXPECT_TRUE(asked_.empty());
  EXPECT_EQ(asked.rename().dataset_id(), kDb.str());
  EXPECT_EQ(asked.rename().node_id(), kSelf.str());
  EXPECT_EQ(asked.rename().name(), "db");
  Here("db", "");
  Reply(asked, absl::OkStatus());
  EXPECT_EQ(Err(first), "no answer");
  Here("db", "/mnt/db");
  driver_.OnChanged(now_);
  EXPECT_EQ(Mountpoint(first), "/mnt/db");
  EXPECT_EQ(Mountpoint(second), "/mnt/db");
}

TEST_F(Driver, MountOfWhatIsInUseElsewhereNamesNodeAndHolder) {
  Elsewhere("db");
  const int call = Mount("db");
  Reply(Asked(), Refuse(Cause::kBusy, "held by pid 7 (sh) in container 0123456789ab"));
  EXPECT_EQ(Err(call), "volume db is on node beta and cannot come here: held by pid 7 (sh) in container 0123456789ab");
  EXPECT_TRUE(driver_.idle());
}

TEST_F(Driver, WhatTakesLongIsAskedForUnderTheSameId) {
  Elsewhere("db");
  const int call = Mount("db");
  const rpc::OperationRequest asked = Asked();
  Reply(asked, Refuse(Cause::kInProgress, "it goes on"));
  EXPECT_EQ(Asked().id(), asked.id());
  Pass(absl::Seconds(13));  // the answer was lost
  EXPECT_EQ(Asked().id(), asked.id());
  Reply(asked, Refuse(Cause::kBusy, "held"));
  EXPECT_TRUE(absl::StrContains(Err(call), "held"));
}

TEST_F(Driver, MountGivesUpBeforeDockerdDoes) {
  Here("db", "");
  volumes_["db"].error = "login refused";
  const int call = Mount("db");
  Pass(absl::Seconds(109));
  EXPECT_EQ(Err(call), "no answer");
  Pass(absl::Seconds(2));
  EXPECT_TRUE(absl::StrContains(Err(call), "attaching on node alpha: login refused")) << Err(call);
  EXPECT_TRUE(driver_.idle());
}

TEST_F(Driver, MountWaitsForNewsOfAnUnknownVolume) {
  const int late = Mount("db");
  const int never = Mount("none");
  EXPECT_EQ(Err(late), "no answer");
  Here("db", "/mnt/db");
  driver_.OnChanged(now_);
  EXPECT_EQ(Mountpoint(late), "/mnt/db");
  Pass(absl::Seconds(3));
  EXPECT_EQ(Err(never), "Could not find volume with given name.");
}

TEST_F(Driver, MountWaitsForAControlThatIsLate) {
  reachable_ = false;
  Elsewhere("db");
  const int served = Mount("db");
  Pass(absl::Seconds(20));
  reachable_ = true;
  Pass(absl::Seconds(1));
  EXPECT_TRUE(Asked().has_rename());
  Here("db", "/mnt/db");
  driver_.OnChanged(now_);
  EXPECT_EQ(Mountpoint(served), "/mnt/db");
  reachable_ = false;
  const int refused = Mount("other");
  Pass(absl::Seconds(31));
  EXPECT_TRUE(absl::StrContains(Err(refused), "cannot be reached")) << Err(refused);
}

TEST_F(Driver, UnmountDoesNothing) {
  Here("db", "/mnt/db");
  EXPECT_EQ(Err(Call("/VolumeDriver.Unmount", R"({"Name":"db","ID":"x"})")), "");
  EXPECT_EQ(Mountpoint(Mount("db")), "/mnt/db");
  EXPECT_TRUE(asked_.empty());
}

TEST_F(Driver, RemoveDestroysAndMayBeRepeated) {
  Here("db", "/mnt/db");
  const int busy = Call("/VolumeDriver.Remove", R"({"Name":"db"})");
  Reply(Asked(), Refuse(Cause::kBusy, "held"));
  EXPECT_EQ(Err(busy), "held");
  const int removed = Call("/VolumeDriver.Remove", R"({"Name":"db"})");
  const rpc::OperationRequest asked = Asked();
  EXPECT_EQ(asked.destroy().dataset_id(), kDb.str());
  Reply(asked, absl::OkStatus());
  EXPECT_EQ(Err(removed), "");
  volumes_.clear();
  EXPECT_EQ(Err(Call("/VolumeDriver.Remove", R"({"Name":"db"})")), "");
  reachable_ = false;  // then it is not known that it is gone
  EXPECT_NE(Err(Call("/VolumeDriver.Remove", R"({"Name":"db"})")), "");
}

TEST_F(Driver, GetPathAndListTellWhatIsKnown) {
  Here("b", "/mnt/b");
  Elsewhere("a");
  volumes_["a"].error = "not \xff UTF-8";
  EXPECT_EQ(answers_[Call("/VolumeDriver.Get", R"({"Name":"b"})")]["Volume"]["Mountpoint"], "/mnt/b");
  EXPECT_EQ(answers_[Call("/VolumeDriver.Get", R"({"Name":"a"})")]["Volume"]["Mountpoint"], "");
  EXPECT_EQ(answers_[Call("/VolumeDriver.Get", R"({"Name":"a"})")]["Volume"]["Status"]["node"], "beta");
  EXPECT_EQ(Err(Call("/VolumeDriver.Get", R"({"Name":"c"})")), "Could not find volume with given name.");
  EXPECT_EQ(Mountpoint(Call("/VolumeDriver.Path", R"({"Name":"b"})")), "/mnt/b");
  EXPECT_EQ(Err(Call("/VolumeDriver.Path", R"({"Name":"a"})")), "Volume not available.");
  const nlohmann::json list = answers_[Call("/VolumeDriver.List", "")]["Volumes"];
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0]["Name"], "a");
  EXPECT_EQ(list[1]["Name"], "b");
}

TEST_F(Driver, AnEmptyBodyIsRefused) {
  for (const char* call : {"Create", "Remove", "Mount", "Unmount", "Get", "Path"}) {
    EXPECT_NE(Err(Call(std::string("/VolumeDriver.") + call, "")), "") << call;
  }
  EXPECT_TRUE(asked_.empty());
}

}  // namespace
}  // namespace flocker::docker
