#include "engine/store/acknowledged.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <boost/endian/conversion.hpp>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace flocker {

Acknowledged::Acknowledged(std::string path, unique_fd file, uint64_t number)
    : path_(std::move(path)), file_(std::move(file)), number_(number) {}

absl::StatusOr<Acknowledged> Acknowledged::Open(const std::string& directory) {
  std::string path = absl::StrCat(directory, "/acknowledged");
  unique_fd file(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return ErrnoStatus(errno, absl::StrCat("cannot open ", path));
  std::array<unsigned char, sizeof(uint64_t)> bytes{};
  const ssize_t got = pread(file.get(), bytes.data(), bytes.size(), 0);
  if (got < 0) return ErrnoStatus(errno, absl::StrCat("cannot read ", path));
  if (got != 0 && got != static_cast<ssize_t>(bytes.size())) {
    return absl::DataLossError(absl::StrCat(path, " is ", got, " bytes long and not 8"));
  }
  return Acknowledged(std::move(path), std::move(file), boost::endian::load_big_u64(bytes.data()));
}

absl::Status Acknowledged::Advance(uint64_t number) {
  number_ = number;
  std::array<unsigned char, sizeof(uint64_t)> bytes{};
  boost::endian::store_big_u64(bytes.data(), number);
  if (pwrite(file_.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return ErrnoStatus(errno, absl::StrCat("cannot write ", path_));
  }
  return absl::OkStatus();
}

}  // namespace flocker
