#include "engine/control/state_service.h"

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/log.h"
#include "engine/base/status.h"
#include "engine/rpc/channel.h"

namespace flocker {
namespace {

// Links followed where they exist, and with a slash at the end, so that one can begin with the other.
std::string Canonical(const std::string& path) {
  return absl::StrCat((std::filesystem::weakly_canonical(path) / "").string());
}

}  // namespace

grpc::Status StateService::Backup(grpc::ServerContext*, const rpc::BackupRequest* request, rpc::BackupReply* reply) {
  const std::string& directory = request->directory();
  if (!absl::StartsWith(directory, "/") || absl::StartsWith(Canonical(directory), Canonical(data_))) {
    return ToGrpc(
        Refuse(Cause::kInvalid, absl::StrCat("cannot back up to '", directory,
                                             "': it must be an absolute path on control's machine, outside ", data_)));
  }
  const auto made = store_.Backup(directory);
  if (!made.ok()) return ToGrpc(made.status());
  spdlog::info("backup {} of the state is in {}", made->number, directory);
  reply->set_number(made->number);
  reply->set_bytes(made->bytes);
  return grpc::Status::OK;
}

}  // namespace flocker
