// The vectors through the C++ door: `doors bytes|path FOLDER`.
//
// FOLDER holds `list.tsv`, one input a line: its id, the name under which it is given, and its path below
// FOLDER, with tabs between. For each of them a line comes out: the id, a tab, the canonical JSON of the
// report, or for an input that could not be judged `error:` and the code. `bytes` reads the file and gives
// its bytes under the name; `path` gives the relative path, with FOLDER as the working directory.

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <secure_torch.hpp>
#include <string>

namespace {

secure_torch::Result<secure_torch::Report> judged(const std::string& name, const std::string& path,
                                                  bool by_path) {
  if (by_path) return secure_torch::scan(path);
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return secure_torch::Failure(SECURE_TORCH_RESULT_IO_NOT_FOUND, "cannot open " + path);
  }
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return secure_torch::scan_bytes(name, bytes);
}

}  // namespace

int main(int count, char** arguments) {
  const std::string mode = count == 3 ? arguments[1] : "";
  if (mode != "bytes" && mode != "path") {
    std::cerr << "usage: doors bytes|path FOLDER\n";
    return 2;
  }
  std::filesystem::current_path(arguments[2]);
  std::ifstream list("list.tsv");
  if (!list) {
    std::cerr << "doors: there is no list.tsv\n";
    return 1;
  }
  for (std::string line; std::getline(list, line);) {
    if (line.empty()) continue;
    const auto first = line.find('\t');
    const auto second = first == std::string::npos ? first : line.find('\t', first + 1);
    if (second == std::string::npos) {
      std::cerr << "doors: a line of list.tsv has no three fields: " << line << '\n';
      return 1;
    }
    const std::string id = line.substr(0, first);
    const std::string name = line.substr(first + 1, second - first - 1);
    const auto report = judged(name, line.substr(second + 1), mode == "path");
    std::cout << id << '\t';
    if (report) {
      std::cout << report->json() << '\n';
    } else {
      std::cout << "error:" << report.error().code() << '\n';
    }
  }
  std::cout.flush();
  return std::cout.good() ? 0 : 1;
}
