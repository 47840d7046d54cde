// The State service: backups of the store. Its calls block on the disk, so it is of gRPC's synchronous kind, on threads
// that nothing else waits for.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>
#include <utility>

#include "engine/rpc/flocker.grpc.pb.h"
#include "engine/store/rocksdb_store.h"

namespace flocker {

class StateService final : public rpc::State::Service {
 public:
  // `data`: the store's own directory, where no backup may go.
  StateService(RocksdbStore& store, std::string data) : store_(store), data_(std::move(data)) {}

  grpc::Status Backup(grpc::ServerContext* context, const rpc::BackupRequest* request,
                      rpc::BackupReply* reply) override;

 private:
  RocksdbStore& store_;
  const std::string data_;
};

}  // namespace flocker
