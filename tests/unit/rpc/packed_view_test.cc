#include "engine/rpc/packed_view.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace flocker {
namespace {

TEST(PackedView, IsTheSameUnpackedAndMuchSmaller) {
  rpc::ViewDelta view;
  view.set_to(7);
  for (int i = 0; i < 1000; ++i) {
    rpc::DatasetView& dataset = *view.add_datasets();
    dataset.set_id(absl::StrCat("id", i));
    dataset.set_phase("attached");
    (*dataset.mutable_metadata())["name"] = absl::StrCat("dataset", i);
  }
  const std::string packed = PackView(view);
  EXPECT_LT(packed.size() * 3, view.ByteSizeLong());
  const auto unpacked = UnpackView(packed);
  ASSERT_TRUE(unpacked.ok()) << unpacked.status();
  EXPECT_EQ(unpacked->to(), 7U);
  ASSERT_EQ(unpacked->datasets_size(), 1000);
  EXPECT_EQ(unpacked->datasets(999).metadata().at("name"), "dataset999");
}

TEST(PackedView, ThatIsNoneIsRefused) {
  EXPECT_FALSE(UnpackView("not packed").ok());
  rpc::ViewDelta view;
  view.add_gone_nodes(std::string(1000, 'x'));
  std::string packed = PackView(view);
  packed[packed.size() / 2] ^= 0x55;
  EXPECT_FALSE(UnpackView(packed).ok());
}

}  // namespace
}  // namespace flocker
