#include "tests/contract/array/initiator.h"

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <poll.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status.h"

namespace flocker::testing {
namespace {

constexpr uint32_t kBlock = 512;
constexpr int kTimeoutSeconds = 10;

}  // namespace

// No logout: after a cut it would wait for an answer that cannot come, and closing the socket ends the session as well.
void Initiator::Close::operator()(iscsi_context* context) const { iscsi_destroy_context(context); }

void Initiator::Free::operator()(scsi_task* task) const { scsi_free_scsi_task(task); }

absl::StatusOr<Initiator> Initiator::Login(const LunAddress& address, const Grant& grant) {
  if (address.portal.empty()) {
    ASSIGN_OR_RETURN(std::unique_ptr<FileUser> file, FileUser::Login(address, grant));
    return Initiator(std::move(file));
  }
  iscsi_context* context = iscsi_create_context(grant.initiator.c_str());
  if (context == nullptr) return absl::InternalError("iscsi_create_context");
  Initiator initiator(context, address.lun);
  iscsi_set_noautoreconnect(context, 1);
  iscsi_set_timeout(context, kTimeoutSeconds);
  iscsi_set_targetname(context, address.target.c_str());
  iscsi_set_session_type(context, ISCSI_SESSION_NORMAL);
  iscsi_set_header_digest(context, ISCSI_HEADER_DIGEST_NONE);
  if (!grant.user.empty()) iscsi_set_initiator_username_pwd(context, grant.user.c_str(), grant.secret.c_str());
  if (iscsi_connect_sync(context, address.portal.c_str()) != 0 || iscsi_login_sync(context) != 0) {
    return absl::UnauthenticatedError(absl::StrCat("login: ", iscsi_get_error(context)));
  }
  return initiator;
}

absl::Status Initiator::Check(const Task& task, const char* what) const {
  if (!task) return absl::UnavailableError(absl::StrCat(what, ": ", iscsi_get_error(context_.get())));
  if (task->status == SCSI_STATUS_GOOD) return absl::OkStatus();
  if (task->status == SCSI_STATUS_CHECK_CONDITION) {
    return absl::AbortedError(
        absl::StrFormat("%s: sense %02x/%04x", what, static_cast<int>(task->sense.key), task->sense.ascq));
  }
  return absl::UnavailableError(
      absl::StrFormat("%s: status %x, %s", what, task->status, iscsi_get_error(context_.get())));
}

void Initiator::GiveUpAfter(int seconds) { iscsi_set_timeout(context_.get(), seconds); }

absl::Status Initiator::TestUnitReady() {
  if (file_ != nullptr) return absl::OkStatus();
  return Check(Task(iscsi_testunitready_sync(context_.get(), lun_)), "TEST UNIT READY");
}

absl::Status Initiator::Write(uint64_t offset, const std::string& data) {
  if (file_ != nullptr) return file_->Write(offset, data);
  std::string copy = data;
  return Check(
      Task(iscsi_write16_sync(context_.get(), lun_, offset / kBlock, reinterpret_cast<unsigned char*>(copy.data()),
                              static_cast<uint32_t>(copy.size()), kBlock, 0, 0, 0, 0, 0)),
      "WRITE");
}

absl::StatusOr<std::string> Initiator::Read(uint64_t offset, uint32_t size) {
  if (file_ != nullptr) return file_->Read(offset, size);
  const Task task(iscsi_read16_sync(context_.get(), lun_, offset / kBlock, size, kBlock, 0, 0, 0, 0, 0));
  RETURN_IF_ERROR(Check(task, "READ"));
  return std::string(reinterpret_cast<const char*>(task->datain.data), static_cast<size_t>(task->datain.size));
}

absl::Status Initiator::Flush() {
  if (file_ != nullptr) return file_->Flush();
  return Check(Task(iscsi_synchronizecache16_sync(context_.get(), lun_, 0, 0, 0, 0)), "SYNCHRONIZE CACHE");
}

absl::Status Initiator::Unmap(uint64_t offset, uint32_t size) {
  if (file_ != nullptr) return file_->Unmap(offset, size);
  unmap_list range{offset / kBlock, size / kBlock};
  return Check(Task(iscsi_unmap_sync(context_.get(), lun_, 0, 0, &range, 1)), "UNMAP");
}

void Initiator::SendWriteAndHangUp(uint64_t offset, const std::string& data) {
  std::string copy = data;
  iscsi_context* const context = context_.get();
  const auto ignore_end = [](iscsi_context*, int, void*, void*) {};
  if (iscsi_write16_task(context, lun_, offset / kBlock, reinterpret_cast<unsigned char*>(copy.data()),
                         static_cast<uint32_t>(copy.size()), kBlock, 0, 0, 0, 0, 0, ignore_end, nullptr) == nullptr) {
    std::abort();
  }
  while (iscsi_out_queue_length(context) > 0) {
    pollfd ready{iscsi_get_fd(context), static_cast<short>(iscsi_which_events(context)), 0};
    if (poll(&ready, 1, kTimeoutSeconds * 1000) <= 0 || iscsi_service(context, ready.revents) != 0) std::abort();
  }
  iscsi_disconnect(context);
}

absl::StatusOr<uint64_t> Initiator::Size() {
  if (file_ != nullptr) return file_->Size();
  const Task task(iscsi_readcapacity16_sync(context_.get(), lun_));
  RETURN_IF_ERROR(Check(task, "READ CAPACITY"));
  const auto* answer = static_cast<const scsi_readcapacity16*>(scsi_datain_unmarshall(task.get()));
  if (answer == nullptr) return absl::InternalError("READ CAPACITY: no answer");
  return (answer->returned_lba + 1) * answer->block_length;
}

absl::StatusOr<std::string> Initiator::Identity() {
  const Task task(iscsi_inquiry_sync(context_.get(), lun_, 1, SCSI_INQUIRY_PAGECODE_DEVICE_IDENTIFICATION, 255));
  RETURN_IF_ERROR(Check(task, "INQUIRY"));
  const auto* page = static_cast<const scsi_inquiry_device_identification*>(scsi_datain_unmarshall(task.get()));
  if (page == nullptr) return absl::InternalError("INQUIRY: no answer");
  for (const scsi_inquiry_device_designator* each = page->designators; each != nullptr; each = each->next) {
    if (each->designator_type == SCSI_DESIGNATOR_TYPE_T10_VENDORT_ID) {
      const std::string text(each->designator, static_cast<size_t>(each->designator_length));
      return text.substr(0, text.find('\0'));
    }
  }
  return absl::NotFoundError("no T10 designator");
}

}  // namespace flocker::testing
