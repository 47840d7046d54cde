#include "engine/ctl/json_text.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/base/status.h"

namespace flocker {
namespace {

using nlohmann::json;

rpc::DatasetView Attached() {
  rpc::DatasetView dataset;
  dataset.set_id("8af507ae-5c24-4d55-9d39-c16ff7fce7b9");
  dataset.set_name("Test");
  dataset.set_desired_node_id("bf5d33ee-0000-4000-8000-000000000001");
  dataset.set_size(uint64_t{15} << 30);
  dataset.set_phase("attached");
  (*dataset.mutable_metadata())["name"] = "Test";
  return dataset;
}

TEST(DatasetJson, HasFlockersKeys) {
  const json parsed = json::parse(DatasetJson(Attached()));
  EXPECT_EQ(parsed["dataset_id"], "8af507ae-5c24-4d55-9d39-c16ff7fce7b9");
  EXPECT_EQ(parsed["primary"], "bf5d33ee-0000-4000-8000-000000000001");
  EXPECT_EQ(parsed["maximum_size"], uint64_t{16106127360});
  EXPECT_EQ(parsed["metadata"], json({{"name", "Test"}}));
  EXPECT_EQ(parsed["deleted"], false);
  EXPECT_EQ(parsed["status"], "attached");
  EXPECT_EQ(DatasetJson(Attached()).find('\n'), std::string::npos);
}

TEST(DatasetJson, IsWellFormedWhateverTheMetadataHolds) {
  rpc::DatasetView dataset = Attached();
  (*dataset.mutable_metadata())["odd"] = "\"\n\x01";
  EXPECT_EQ(json::parse(DatasetJson(dataset))["metadata"]["odd"], "\"\n\x01");
}

TEST(DatasetsJson, ShowsWhatTheTableShows) {
  rpc::ViewReply view;
  *view.add_datasets() = Attached();
  *view.add_datasets() = Attached();
  view.mutable_datasets(1)->set_phase("trashed");
  EXPECT_EQ(json::parse(DatasetsJson(view, {})).size(), 1U);
  EXPECT_EQ(json::parse(DatasetsJson(view, {.deleted = true})).size(), 2U);
  EXPECT_EQ(json::parse(DatasetsJson(view, {.deleted = true, .live = false}))[0]["status"], "deleted");
  EXPECT_EQ(json::parse(DatasetsJson(rpc::ViewReply(), {})), json::array());
}

TEST(NodesJson, TellsWhoIsConnectedAndDrained) {
  rpc::ViewReply view;
  view.add_nodes()->set_name("alpha");
  view.mutable_nodes(0)->set_drained(true);
  const json node = json::parse(NodesJson(view))[0];
  EXPECT_EQ(node["name"], "alpha");
  EXPECT_EQ(node["connected"], false);
  EXPECT_EQ(node["drained"], true);
}

TEST(EventJson, IsOneLine) {
  rpc::EventView event;
  event.set_seq(42);
  event.set_message("two\nlines");
  event.add_timeline()->set_step("gate");
  const std::string text = EventJson(event);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_EQ(json::parse(text)["timeline"][0]["step"], "gate");
}

TEST(ErrorJson, HasTheCauseAndItsExitCode) {
  const json error = json::parse(ErrorJson(Refuse(Cause::kBusy, "process 12 holds it")))["error"];
  EXPECT_EQ(error["cause"], "busy");
  EXPECT_EQ(error["exit_code"], 5);
  EXPECT_EQ(error["message"], "process 12 holds it");
}

}  // namespace
}  // namespace flocker
