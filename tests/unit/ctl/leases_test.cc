#include "engine/ctl/leases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/base/status.h"
#include "engine/ctl/json_text.h"

namespace flocker {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr char kDataset[] = "8af507ae-5c24-4d55-9d39-c16ff7fce7b9";
constexpr char kGone[] = "08ad1785-5c24-4d55-9d39-c16ff7fce7b9";
constexpr char kNode[] = "bf5d33ee-5c24-4d55-9d39-c16ff7fce7b9";

rpc::ViewReply View() {
  rpc::ViewReply view;
  rpc::NodeView& node = *view.add_nodes();
  node.set_id(kNode);
  node.set_name("alpha");
  rpc::DatasetView& dataset = *view.add_datasets();
  dataset.set_id(kDataset);
  dataset.set_name("db");
  rpc::LeaseView& lease = *view.add_leases();
  lease.set_dataset_id(kDataset);
  lease.set_node_id(kNode);
  lease.set_seconds(59.6);
  rpc::LeaseView& other = *view.add_leases();
  other.set_dataset_id(kGone);
  other.set_node_id(kNode);
  return view;
}

TEST(Leases, AreATable) {
  const std::string table = FormatLeases(View());
  EXPECT_THAT(table, HasSubstr("DATASET"));
  EXPECT_THAT(table, ::testing::ContainsRegex("8af507ae.*   db +alpha +60s"));
  EXPECT_THAT(table, ::testing::ContainsRegex("08ad1785.*   <missing> +alpha +never"));
}

TEST(Leases, AreJson) {
  EXPECT_EQ(json::parse(LeasesJson(View())),
            json::array({{{"dataset_id", kDataset}, {"node_uuid", kNode}, {"expires", 59.6}},
                         {{"dataset_id", kGone}, {"node_uuid", kNode}, {"expires", nullptr}}}));
}

TEST(Leases, AreFoundByWhatTheyAreOf) {
  EXPECT_EQ(SelectLeased(View(), "db").value(), kDataset);
  EXPECT_EQ(SelectLeased(View(), "8af5").value(), kDataset);
  EXPECT_EQ(SelectLeased(View(), kGone).value(), kGone) << "what is gone may have one, too";
  EXPECT_EQ(CauseOf(SelectLeased(View(), "nothing").status()), Cause::kNotFound);
}

}  // namespace
}  // namespace flocker
