// flocker.* of a dataset's directory: what they say, who may write them, and what is asked of the cluster then.
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/integration/fusefs/rig.h"

namespace flocker::testing {
namespace {

using AttributesTest = Rig;

std::string Attribute(const std::string& path, const std::string& name) {
  std::array<char, 4096> value{};
  const ssize_t size = getxattr(path.c_str(), name.c_str(), value.data(), value.size());
  return size < 0 ? absl::StrCat("errno ", errno) : std::string(value.data(), static_cast<size_t>(size));
}

// As root on a thread that gave up CAP_SYS_ADMIN, as a container's root is.
int WithoutSysAdmin(const std::function<int()>& call) {
  int result = -1;
  std::thread([&] {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
    if (syscall(SYS_capget, &header, data.data()) != 0) return;
    data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective &= ~CAP_TO_MASK(CAP_SYS_ADMIN);
    if (syscall(SYS_capset, &header, data.data()) == 0) result = call();
  }).join();
  return result;
}

TEST_F(AttributesTest, DescribeADataset) {
  const CatalogDataset dataset = Attached("data");
  const auto read = [&](const std::string& name) { return Attribute(Tree("alpha/data"), "flocker." + name); };
  const std::string none = absl::StrCat("errno ", ENODATA);
  EXPECT_EQ(read("protect"), absl::StrCat("errno ", EAGAIN)) << "the agent has not heard of it";
  rpc::Description description;
  description.set_known(true);
  description.set_holders("42 sleep");
  (*description.mutable_metadata())["owner"] = "Zoë";
  agent_->Describe(description);
  EXPECT_EQ(read("id"), dataset.id.str());
  EXPECT_EQ(read("node"), "alpha");
  EXPECT_EQ(read("state"), "attached");
  EXPECT_EQ(read("size"), absl::StrCat(dataset.size));
  EXPECT_EQ(read("epoch"), absl::StrCat(dataset.epoch));
  EXPECT_EQ(read("created"), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(read("error"), none);
  EXPECT_EQ(read("protect"), "0");
  EXPECT_EQ(read("holders"), "42 sleep");
  EXPECT_EQ(read("metadata.owner"), "Zoë");
  EXPECT_EQ(read("metadata.other"), none);
  EXPECT_EQ(read("none"), none);
  const auto all = nlohmann::json::parse(read("all"));
  EXPECT_EQ(all.at("id"), dataset.id.str());
  EXPECT_EQ(all.at("metadata").at("owner"), "Zoë");
  EXPECT_EQ(all.at("holders"), "42 sleep");
  EXPECT_EQ(listxattr(Tree("alpha/data").c_str(), nullptr, 0), 0);
}

TEST_F(AttributesTest, AreWrittenByAnOperation) {
  const CatalogDataset dataset = Attached("data");
  const auto write = [&](const std::string& name, const std::string& value, int flags = 0) {
    const std::string full = "flocker." + name;
    return setxattr(Tree("alpha/data").c_str(), full.c_str(), value.data(), value.size(), flags) == 0 ? 0 : errno;
  };
  EXPECT_EQ(write("id", "x"), EPERM);
  EXPECT_EQ(write("none", "x"), ENODATA);
  EXPECT_EQ(write("size", "much"), EINVAL);
  EXPECT_EQ(write("size", "17T"), ERANGE);
  EXPECT_EQ(write("size", "20G", XATTR_CREATE), EEXIST);
  EXPECT_EQ(write("protect", "yes"), EINVAL);
  EXPECT_EQ(write("metadata.", "x"), EINVAL);
  EXPECT_EQ(write("metadata.k", "\xff"), EINVAL);
  EXPECT_EQ(removexattr(Tree("alpha/data").c_str(), "flocker.size"), -1);
  EXPECT_EQ(errno, EPERM);

  std::vector<rpc::Change> asked;
  agent_->AnswerWith([&](const rpc::OperationRequest& request) {
    asked.push_back(request.change());
    rpc::OperationReply reply;
    reply.set_id(request.id());
    reply.set_dataset_id(request.change().dataset_id());
    if (request.change().protect()) reply.mutable_outcome()->set_cause("busy");
    return reply;
  });
  EXPECT_EQ(write("metadata.owner", "Zoë", XATTR_REPLACE), 0);
  EXPECT_EQ(write("protect", "1"), EBUSY);
  EXPECT_EQ(removexattr(Tree("alpha/data").c_str(), "flocker.metadata.owner"), 0);
  ASSERT_EQ(asked.size(), 3U);
  EXPECT_EQ(asked[0].dataset_id(), dataset.id.str());
  EXPECT_EQ(asked[0].metadata().at("owner"), "Zoë");
  EXPECT_EQ(asked[0].keys(), rpc::Change::PRESENT);
  EXPECT_TRUE(asked[1].protect());
  EXPECT_EQ(asked[2].removed_metadata(0), "owner");

  // Only who may administer the machine: root without CAP_SYS_ADMIN is a container's, and changes nothing.
  EXPECT_EQ(As({.uid = 1000, .gid = 1000}, [&] { return write("metadata.owner", "x"); }), EPERM);
  EXPECT_EQ(WithoutSysAdmin([&] { return write("size", "20G"); }), EPERM);
}

}  // namespace
}  // namespace flocker::testing
