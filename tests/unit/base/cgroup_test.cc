#include "engine/base/cgroup.h"

#include <gtest/gtest.h>

namespace flocker {
namespace {

const std::string kId = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const std::string kInner = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";

TEST(ContainerId, IsFoundForEveryRuntime) {
  for (const std::string& text : {
           "0::/system.slice/docker-" + kId + ".scope\n",
           "12:pids:/docker/" + kId + "\n1:name=systemd:/docker/" + kId + "\n",
           "0::/docker/" + kId + "/init.scope\n",
           "0::/kubepods.slice/kubepods-pod1234.slice/cri-containerd-" + kId + ".scope\n",
           "0::/kubepods/burstable/pod-1/" + kId,
           "0::/kubepods.slice/crio-" + kId + ".scope\n",
           "0::/machine.slice/libpod-" + kId + ".scope/container\n",
           "0::/system.slice/containerd.service/kubepods-besteffort-pod1234.slice:cri-containerd:" + kId + "\n",
           "0::/user.slice/user-1000.slice/user@1000.service/user.slice/nerdctl-" + kId + ".scope\n",
           "9:memory:/\n1:name=systemd:/system.slice/docker-" + kId + ".scope\n0::/\n",
       }) {
    EXPECT_EQ(ContainerIdFromCgroup(text), kId) << text;
  }
}

TEST(ContainerId, OfAContainerInAContainerIsTheInner) {
  EXPECT_EQ(ContainerIdFromCgroup("0::/docker/" + kId + "/docker/" + kInner + "\n"), kInner);
}

TEST(ContainerId, OfAContainerInAContainerIsTheInnerAlsoWhenNotEveryHierarchyShowsIt) {
  EXPECT_EQ(ContainerIdFromCgroup("9:pids:/docker/" + kId + "/docker/" + kInner + "\n1:name=systemd:/docker/" + kId +
                                  "\n0::/docker/" + kId + "\n"),
            kInner);
}

TEST(ContainerId, IsEmptyOutside) {
  for (const std::string& text :
       {std::string(), std::string("0::/\n"), std::string("0::/user.slice/user-1000.slice/session-2.scope\n"),
        "0::/machine.slice/libpod-conmon-" + kId + ".scope\n", "0::/docker/" + kId + "0\n",
        "0::/docker/" + kId.substr(1) + "\n", "0::/x" + kId + "\n", kId}) {
    EXPECT_EQ(ContainerIdFromCgroup(text), "") << text;
  }
}

}  // namespace
}  // namespace flocker
