#include "tests/fault/matrix/operation.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/base/file.h"
#include "engine/base/status.h"
#include "engine/model/size.h"
#include "tests/harness/wait.h"

namespace flocker::testing {
namespace {

constexpr absl::Duration kPrepareTimeout = absl::Seconds(60);
constexpr size_t kDataBytes = 256 << 10;

}  // namespace

struct Operation::Kind {
  std::string_view name;
  Rest from;
  Rest to;
};

const Operation::Kind& Operation::KindOf(std::string_view name) {
  static constexpr std::array<Kind, 10> kKinds = {{
      {"create", Rest::kAbsent, Rest::kOnAlpha},
      {"move", Rest::kOnAlpha, Rest::kOnBeta},
      {"destroy", Rest::kOnAlpha, Rest::kTrashed},
      {"restore", Rest::kTrashed, Rest::kOnAlpha},
      {"purge", Rest::kTrashed, Rest::kAbsent},
      {"renew", Rest::kOnAlpha, Rest::kOnAlpha},
      {"grow", Rest::kOnAlpha, Rest::kOnAlpha},
      {"exchange", Rest::kOnAlpha, Rest::kOnBeta},
      {"fence", Rest::kOnAlpha, Rest::kOnBeta},
      {"refuse", Rest::kOnAlpha, Rest::kOnBeta},
  }};
  for (const Kind& kind : kKinds) {
    if (kind.name == name) return kind;
  }
  std::fprintf(stderr, "engine/base/fault_points.h has an operation that the matrix does not know: %s\n",
               std::string(name).c_str());
  std::abort();
}

Operation::Operation(World& world, std::string_view name, bool late)
    : world_(world), kind_(KindOf(name)), late_(late) {}

Operation::~Operation() {
  if (asker_.joinable()) asker_.join();
}

absl::Status Operation::Prepare() {
  RETURN_IF_ERROR(world_.Settle({Rest::kAbsent}, kPrepareTimeout).status());
  ASSIGN_OR_RETURN(*create_.mutable_node_id(), world_.NodeId("alpha"));
  create_.set_name("db");
  create_.set_size(kMinSize);
  create_.set_root_mode(0755);
  if (kind_.from != Rest::kAbsent) RETURN_IF_ERROR(MakeDataset());
  if (kind_.name == "exchange") RETURN_IF_ERROR(world_.AddOther(RandomHex(kDataBytes / 2)));
  RETURN_IF_ERROR(Compose());
  if (kind_.name == "refuse") return HideMount();
  return kind_.name == "fence" ? TakeAlphaDown() : absl::OkStatus();
}

absl::Status Operation::MakeDataset() {
  rpc::OperationRequest create;
  *create.mutable_create() = create_;
  RETURN_IF_ERROR(world_.Execute(create));
  RETURN_IF_ERROR(world_.Settle({Rest::kOnAlpha}, kPrepareTimeout).status());
  data_ = RandomHex(kDataBytes / 2);
  RETURN_IF_ERROR(world_.WriteData("alpha", data_));
  if (kind_.from != Rest::kTrashed) return absl::OkStatus();
  rpc::OperationRequest destroy;
  ASSIGN_OR_RETURN(const rpc::DatasetView dataset, world_.TheDataset());
  destroy.mutable_destroy()->set_dataset_id(dataset.id());
  RETURN_IF_ERROR(world_.Execute(destroy));
  return world_.Settle({Rest::kTrashed}, kPrepareTimeout).status();
}

absl::Status Operation::TakeAlphaDown() {
  world_.cluster().agent("alpha").Kill();
  const bool down = Eventually(kPrepareTimeout, [&] {
    const auto view = world_.View();
    if (!view.ok()) return false;
    for (const rpc::NodeView& node : view->nodes()) {
      if (node.name() == "alpha") return !node.connected();
    }
    return false;
  });
  return down ? absl::OkStatus() : absl::DeadlineExceededError("alpha does not count as down");
}

absl::Status Operation::HideMount() {
  ASSIGN_OR_RETURN(const rpc::DatasetView dataset, world_.TheDataset());
  const std::string path =
      absl::StrCat(world_.cluster().dir(), "/alpha/mnt/", dataset.id(), ".", dataset.mount_epoch());
  const unique_fd tree(
      static_cast<int>(syscall(SYS_open_tree, AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  std::array<int, 2> ends{};
  if (!tree || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot copy the mount at ", path));
  }
  hidden_sender_.reset(ends[0]);
  hidden_receiver_.reset(ends[1]);
  char byte = 0;
  iovec data{.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = tree.get();
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  if (sendmsg(hidden_sender_.get(), &message, 0) != 1) return ErrnoStatus(errno, "cannot send the mount's descriptor");
  return absl::OkStatus();
}

absl::Status Operation::Compose() {
  if (kind_.name == "create") {
    *request_.mutable_create() = create_;
    return absl::OkStatus();
  }
  if (kind_.name == "renew") return absl::OkStatus();
  ASSIGN_OR_RETURN(const rpc::DatasetView dataset, world_.TheDataset());
  if (kind_.name == "destroy") {
    request_.mutable_destroy()->set_dataset_id(dataset.id());
  } else if (kind_.name == "restore") {
    request_.mutable_restore()->set_dataset_id(dataset.id());
  } else if (kind_.name == "purge") {
    request_.mutable_purge()->set_dataset_id(dataset.id());
  } else if (kind_.name == "grow") {
    request_.mutable_change()->set_dataset_id(dataset.id());
    request_.mutable_change()->set_size(2 * kMinSize);
  } else if (kind_.name == "exchange") {
    request_.mutable_exchange()->set_dataset_id(dataset.id());
    request_.mutable_exchange()->set_other_id(world_.other());
  } else {
    request_.mutable_rename()->set_dataset_id(dataset.id());
    request_.mutable_rename()->set_name("db");
    ASSIGN_OR_RETURN(*request_.mutable_rename()->mutable_node_id(), world_.NodeId("beta"));
  }
  return absl::OkStatus();
}

absl::Status Operation::Begin() {
  if (!late_) {
    asker_ = std::thread([this] { answer_ = kind_.name == "renew" ? world_.CutSession() : world_.Execute(request_); });
    return absl::OkStatus();
  }
  answer_ = world_.Execute(request_);
  RETURN_IF_ERROR(answer_);
  return world_.cluster().agent("alpha").Start();
}

absl::Status Operation::Finish() {
  if (asker_.joinable()) asker_.join();
  hidden_sender_.reset();
  hidden_receiver_.reset();
  return answer_;
}

std::set<Rest> Operation::Allowed(const absl::Status& answer) const {
  if (answer.ok()) return {kind_.to};
  const Cause cause = CauseOf(answer);
  const bool unknown = cause == Cause::kInProgress || cause == Cause::kTimeout || cause == Cause::kNoControl;
  return unknown ? std::set<Rest>{kind_.from, kind_.to} : std::set<Rest>{kind_.from};
}

}  // namespace flocker::testing
