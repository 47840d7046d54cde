// An attach order of control's, as the agent keeps it in memory. It carries a secret: it is never written anywhere.
#pragma once

#include <cstdint>
#include <string>

#include "engine/model/ids.h"
#include "engine/rpc/flocker.pb.h"

namespace flocker {

struct AttachOrder {
  DatasetId id;
  std::string name;
  uint64_t epoch = 0;
  uint64_t mount_epoch = 0;
  std::string portal;  // empty: `target` is a file of this machine
  std::string target;
  uint32_t lun = 0;
  std::string initiator;
  std::string user;
  std::string secret;
  bool formatted = false;
  uint32_t root_uid = 0;
  uint32_t root_gid = 0;
  uint32_t root_mode = 0755;
};

inline AttachOrder FromRpc(const rpc::Attach& attach, const DatasetId& id) {
  return {.id = id,
          .name = attach.name(),
          .epoch = attach.epoch(),
          .mount_epoch = attach.mount_epoch(),
          .portal = attach.portal(),
          .target = attach.target(),
          .lun = attach.lun(),
          .initiator = attach.initiator(),
          .user = attach.user(),
          .secret = attach.secret(),
          .formatted = attach.formatted(),
          .root_uid = attach.root_uid(),
          .root_gid = attach.root_gid(),
          .root_mode = attach.root_mode()};
}

}  // namespace flocker
