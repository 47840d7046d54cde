#include "engine/ctl/listing.h"

#include <gtest/gtest.h>

#include "engine/model/size.h"

namespace flocker {
namespace {

rpc::ViewReply OneAttached() {
  rpc::ViewReply view;
  rpc::NodeView& node = *view.add_nodes();
  node.set_id("bf5d33ee-0000-4000-8000-000000000001");
  node.set_name("alpha");
  node.set_address("10.0.0.11");
  node.set_connected(true);
  rpc::DatasetView& dataset = *view.add_datasets();
  dataset.set_id("8af507ae-5c24-4d55-9d39-c16ff7fce7b9");
  dataset.set_name("Test");
  dataset.set_node_id(node.id());
  dataset.set_desired_node_id(node.id());
  dataset.set_size(15 * kGiB);
  dataset.set_phase("attached");
  (*dataset.mutable_metadata())["name"] = "Test";
  return view;
}

TEST(FormatDatasets, LooksAsFlockersDid) {
  EXPECT_EQ(FormatDatasets(OneAttached(), {.symbols = true}),
            "DATASET                                SIZE     METADATA    STATUS        SERVER\n"
            "8af507ae-5c24-4d55-9d39-c16ff7fce7b9   15.00G   name=Test   attached ✅   bf5d33ee (10.0.0.11)\n");
}

TEST(FormatDatasets, ShowsWhereADatasetIsWanted) {
  rpc::ViewReply view = OneAttached();
  rpc::NodeView& beta = *view.add_nodes();
  beta.set_id("08ad1785-0000-4000-8000-000000000002");
  beta.set_address("10.0.0.12");
  view.mutable_datasets(0)->set_desired_node_id(beta.id());
  EXPECT_NE(FormatDatasets(view, {}).find("08ad1785 (10.0.0.12)"), std::string::npos);
  view.mutable_datasets(0)->set_desired_node_id("00000000-0000-4000-8000-000000000003");
  EXPECT_NE(FormatDatasets(view, {}).find("<missing>"), std::string::npos);
}

TEST(FormatDatasets, HidesTheTrashUnlessAsked) {
  rpc::ViewReply view = OneAttached();
  view.mutable_datasets(0)->set_phase("trashed");
  EXPECT_EQ(FormatDatasets(view, {}).find("8af507ae"), std::string::npos);
  EXPECT_NE(FormatDatasets(view, {.deleted = true}).find("deleted"), std::string::npos);
  EXPECT_NE(FormatDatasets(view, {.deleted = true, .live = false}).find("8af507ae"), std::string::npos);
  EXPECT_EQ(FormatDatasets(OneAttached(), {.deleted = true, .live = false}).find("8af507ae"), std::string::npos);
}

TEST(StatusText, HasFlockersWordsAndThePhasesOwn) {
  rpc::DatasetView dataset;
  dataset.set_phase("provisioning");
  EXPECT_EQ(StatusText(dataset, false), "pending");
  EXPECT_EQ(StatusText(dataset, true), "pending ⌛");
  dataset.set_phase("fencing");
  EXPECT_EQ(StatusText(dataset, true), "fencing");
  dataset.set_deleted(true);
  EXPECT_EQ(StatusText(dataset, true), "deleting");
}

TEST(FormatNodes, ShowsWhoIsConnected) {
  rpc::ViewReply view = OneAttached();
  EXPECT_EQ(FormatNodes(view, {}),
            "SERVER     ADDRESS     NAME    STATE\n"
            "bf5d33ee   10.0.0.11   alpha   connected\n");
  view.mutable_nodes(0)->set_connected(false);
  EXPECT_NE(FormatNodes(view, {.long_ids = true}).find("bf5d33ee-0000-4000-8000-000000000001"), std::string::npos);
  EXPECT_NE(FormatNodes(view, {}).find("down"), std::string::npos);
}

TEST(FormatNodes, ShowsWhichAreDrained) {
  rpc::ViewReply view = OneAttached();
  view.mutable_nodes(0)->set_drained(true);
  EXPECT_NE(FormatNodes(view, {}).find("alpha   connected, drained\n"), std::string::npos);
}

TEST(FormatDatasets, PaintsTheStatusWithoutMovingAColumn) {
  EXPECT_EQ(FormatDatasets(OneAttached(), {.symbols = true, .colour = true}),
            "DATASET                                SIZE     METADATA    STATUS        SERVER\n"
            "8af507ae-5c24-4d55-9d39-c16ff7fce7b9   15.00G   name=Test   \033[32mattached ✅\033[0m   bf5d33ee "
            "(10.0.0.11)\n");
  rpc::ViewReply view = OneAttached();
  view.mutable_datasets(0)->set_error("no");
  EXPECT_NE(FormatDatasets(view, {.colour = true}).find("\033[31mattached\033[0m"), std::string::npos);
}

}  // namespace
}  // namespace flocker
