#include "engine/ctl/selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/status.h"

namespace flocker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

rpc::ViewReply TwoOfEach() {
  rpc::ViewReply view;
  for (const auto& [id, name] : {std::pair("bf5d33ee-0000-4000-8000-000000000001", "alpha"),
                                 std::pair("bf08ad17-0000-4000-8000-000000000002", "beta")}) {
    view.add_nodes()->set_id(id);
    view.mutable_nodes()->rbegin()->set_name(name);
    view.add_datasets()->set_id(id);
    view.mutable_datasets()->rbegin()->set_name(name);
  }
  return view;
}

Cause CauseOfNode(std::string_view text) { return CauseOf(SelectNode(TwoOfEach(), text).status()); }

TEST(SelectNode, TakesANameOrAPrefixOfAnId) {
  EXPECT_EQ(SelectNode(TwoOfEach(), "beta")->name(), "beta");
  EXPECT_EQ(SelectNode(TwoOfEach(), "bf5")->name(), "alpha");
}

TEST(SelectNode, RefusesAnAmbiguousPrefixAndNamesTheCandidates) {
  EXPECT_EQ(CauseOfNode("bf"), Cause::kInvalid);
  const std::string message(SelectNode(TwoOfEach(), "bf").status().message());
  EXPECT_THAT(message, HasSubstr("bf5d33ee-0000-4000-8000-000000000001 (alpha), bf08ad17"));
}

TEST(SelectNode, TakesAnIdInUpperCase) { EXPECT_EQ(SelectNode(TwoOfEach(), "BF5D")->name(), "alpha"); }

TEST(SelectNode, RefusesWhatFitsNothing) {
  EXPECT_EQ(CauseOfNode("gamma"), Cause::kNotFound);
  EXPECT_EQ(CauseOfNode("alph"), Cause::kNotFound);
  EXPECT_EQ(CauseOfNode(""), Cause::kNotFound);
}

TEST(SelectNode, ANameWinsOverAPrefix) {
  rpc::ViewReply view = TwoOfEach();
  view.mutable_nodes(1)->set_name("bf5");
  EXPECT_EQ(SelectNode(view, "bf5")->id(), view.nodes(1).id());
}

TEST(SelectDataset, DoesNotSeeTheTrash) {
  rpc::ViewReply view = TwoOfEach();
  view.mutable_datasets(0)->set_deleted(true);
  EXPECT_EQ(CauseOf(SelectDataset(view, "alpha").status()), Cause::kNotFound);
  EXPECT_EQ(SelectDataset(view, "bf")->name(), "beta");
}

TEST(SelectTrashed, SeesTheTrashAlone) {
  rpc::ViewReply view = TwoOfEach();
  view.mutable_datasets(0)->set_deleted(true);
  EXPECT_EQ(SelectTrashed(view, "alpha")->id(), view.datasets(0).id());
  EXPECT_EQ(CauseOf(SelectTrashed(view, "beta").status()), Cause::kNotFound);
}

TEST(SelectTrashed, RefusesANameThatSeveralHad) {
  rpc::ViewReply view = TwoOfEach();
  for (rpc::DatasetView& dataset : *view.mutable_datasets()) {
    dataset.set_deleted(true);
    dataset.set_name("db");
  }
  EXPECT_EQ(CauseOf(SelectTrashed(view, "db").status()), Cause::kInvalid);
  EXPECT_EQ(SelectTrashed(view, view.datasets(1).id())->id(), view.datasets(1).id());
}

TEST(ParseMetadata, ReadsFlockersForm) {
  EXPECT_THAT(*ParseMetadata("name=db,team=a"), ElementsAre(Pair("name", "db"), Pair("team", "a")));
  EXPECT_THAT(*ParseMetadata("empty="), ElementsAre(Pair("empty", "")));
  EXPECT_TRUE(ParseMetadata("")->empty());
}

TEST(ParseMetadata, RefusesEverythingElse) {
  for (const char* text : {"name", "a=b=c", "a=b,", "=b", "a=1,a=2"}) {
    EXPECT_EQ(CauseOf(ParseMetadata(text).status()), Cause::kInvalid) << text;
  }
}

}  // namespace
}  // namespace flocker
