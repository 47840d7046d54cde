#include "engine/volume/maps_reader.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/clock.h"

namespace flocker {
namespace {

class MapsReaderTest : public ::testing::Test {
 protected:
  MapsReaderTest() : directory_(absl::StrCat(::testing::TempDir(), "/maps_reader.", getpid())) {
    std::filesystem::create_directory(directory_);
  }
  ~MapsReaderTest() override { std::filesystem::remove_all(directory_); }

  const std::string directory_;
  MapsReader reader_{absl::Seconds(1)};
};

TEST_F(MapsReaderTest, ReadsOneFileAfterTheOtherToItsEnd) {
  const std::string text(300'000, 'x');
  std::ofstream(directory_ + "/large") << text;
  std::ofstream(directory_ + "/empty");
  EXPECT_EQ(reader_.Read(directory_ + "/large"), text);
  EXPECT_EQ(reader_.Read(directory_ + "/empty"), "");
  EXPECT_EQ(reader_.Read(directory_ + "/missing"), "");
  EXPECT_TRUE(absl::StrContains(reader_.Read(absl::StrCat("/proc/", getpid(), "/maps")).value_or(""), "[stack]"));
}

TEST_F(MapsReaderTest, GivesUpWhatDoesNotComeAndGoesOnWithTheNext) {
  // Nobody will ever open its other end.
  const std::string fifo = directory_ + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  std::ofstream(directory_ + "/file") << "text";
  const absl::Time begin = SteadyNow();
  EXPECT_EQ(reader_.Read(fifo), std::nullopt);
  EXPECT_LT(SteadyNow() - begin, absl::Seconds(5));
  EXPECT_EQ(reader_.Read(directory_ + "/file"), "text");
}

}  // namespace
}  // namespace flocker
