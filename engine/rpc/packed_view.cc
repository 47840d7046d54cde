#include "engine/rpc/packed_view.h"

#include <google/protobuf/io/gzip_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

namespace flocker {

namespace io = google::protobuf::io;

std::string PackView(const rpc::ViewDelta& view) {
  std::string packed;
  io::StringOutputStream bytes(&packed);
  io::GzipOutputStream::Options options;
  options.format = io::GzipOutputStream::ZLIB;
  options.compression_level = 1;
  io::GzipOutputStream zipped(&bytes, options);
  view.SerializeToZeroCopyStream(&zipped);  // to memory: it cannot fail
  zipped.Close();
  return packed;
}

absl::StatusOr<rpc::ViewDelta> UnpackView(const std::string& packed) {
  io::ArrayInputStream bytes(packed.data(), static_cast<int>(packed.size()));
  io::GzipInputStream zipped(&bytes, io::GzipInputStream::ZLIB);
  rpc::ViewDelta view;
  // What zlib cannot read is an end to the parser.
  if (view.ParseFromZeroCopyStream(&zipped) && zipped.ZlibErrorMessage() == nullptr) return view;
  return absl::DataLossError("a packed view cannot be read");
}

}  // namespace flocker
