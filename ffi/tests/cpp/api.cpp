// The C++ layer, with exceptions and (compiled a second time) without: results, views, moves, and every
// kind of question to a report, a policy and a checkpoint.
//
// The files are written here, byte by byte: a pickle that would run a command, and safetensors.

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <secure_torch.hpp>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "check.hpp"

// As in dlpack.h (version 1.1), whose definition the header leaves to whoever wants to look inside.
struct DLTensor {
  void* data;
  std::int32_t device_type, device_id;
  std::int32_t ndim;
  std::uint8_t code, bits;
  std::uint16_t lanes;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};
struct DLManagedTensorVersioned {
  std::uint32_t major, minor;
  void* manager_ctx;
  void (*deleter)(DLManagedTensorVersioned*);
  std::uint64_t flags;
  DLTensor dl_tensor;
};

namespace st = secure_torch;

namespace {

// `os.system("echo hello")`, as pickle protocol 0. Nobody unpickles it here.
const std::string HOSTILE = "cposix\nsystem\n(S'echo hello'\ntR.";

// {"weight": float32 [[1, 2], [3, 4]], "bias": float32 [0.5]} with metadata.
std::string safetensors() {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
      R"("bias":{"dtype":"F32","shape":[1],"data_offsets":[16,20]}})";
  std::string file;
  for (unsigned i = 0; i < 8; ++i) {
    file += static_cast<char>(static_cast<unsigned char>(header.size() >> (8 * i) & 0xFF));
  }
  file += header;
  for (const float value : {1.0F, 2.0F, 3.0F, 4.0F, 0.5F}) {
    char bytes[4];
    std::memcpy(bytes, &value, 4);
    file.append(bytes, 4);
  }
  return file;
}

// {"epoch": 3, "name": "net", "rates": [0.5, True, None], "sizes": (1, 2)} as pickle protocol 2.
constexpr char PLAIN_BYTES[] =
    "\x80\x02}(X\x05\x00\x00\x00" "epochK\x03X\x04\x00\x00\x00nameX\x03\x00\x00\x00netX\x05\x00\x00\x00"
    "rates](G?\xe0\x00\x00\x00\x00\x00\x00\x88NeX\x05\x00\x00\x00sizesK\x01K\x02\x86u.";
const std::string PLAIN(PLAIN_BYTES, sizeof PLAIN_BYTES - 1);

void handles_move() {
  static_assert(!std::is_copy_constructible_v<st::Report>);
  static_assert(!std::is_copy_constructible_v<st::Checkpoint>);
  static_assert(!std::is_copy_constructible_v<st::Policy>);
  static_assert(!std::is_copy_constructible_v<st::Memory>);
  static_assert(!std::is_copy_constructible_v<st::Failure>);
  static_assert(std::is_nothrow_move_constructible_v<st::Report>);
  static_assert(std::is_nothrow_move_constructible_v<st::Checkpoint>);
  auto scanned = st::scan_bytes("model.pt", HOSTILE);
  REQUIRE(scanned.has_value());
  st::Report report = *std::move(scanned);
  const std::string before(report.json());
  st::Report other = std::move(report);
  REQUIRE(other.json() == before);
}

void reports() {
  REQUIRE(st::is_compatible());
  REQUIRE(!st::version().empty());
  REQUIRE(st::rules().substr(0, 1) == "{" || st::rules().substr(0, 1) == "[");
  const auto report = st::scan_bytes("model.pt", HOSTILE);
  REQUIRE(report);
  REQUIRE(report->path() == "model.pt");
  REQUIRE(report->format() == "pickle");
  REQUIRE(report->size_bytes() == HOSTILE.size());
  REQUIRE(report->verdict() == st::Verdict::Block);
  REQUIRE(report->threat_level() == st::Level::Critical);
  REQUIRE(report->threat_score() > 65);
  REQUIRE(!report->load_allowed());
  REQUIRE(report->findings_omitted() == 0);
  REQUIRE(report->json().substr(0, 1) == "{");
  REQUIRE(report->sarif().find("2.1.0") != std::string_view::npos);
  REQUIRE(report->formats().size() == 1);
  REQUIRE(!report->reasons().empty());
  REQUIRE(!report->reasons()[0].empty());
  bool named = false;
  for (const st::Finding& finding : report->findings()) {
    REQUIRE(!finding.rule.empty());
    REQUIRE(finding.count > 0);
    named = named || finding.subject.find("posix.system") != std::string_view::npos;
  }
  REQUIRE(named);
  unsigned points = 0;
  for (const st::RulePoints& row : report->score_breakdown()) points += row.points;
  REQUIRE(points >= report->threat_score());
  // Past the end there is nothing, and nothing happens.
  REQUIRE(report->findings()[1000].rule.empty());
  REQUIRE(report->reasons()[1000].empty());
  for (const std::string_view limit : report->limits()) REQUIRE(!limit.empty());
}

void failures() {
  const auto missing = st::scan("no/such/file.pt");
  REQUIRE(!missing);
  REQUIRE(missing.error().result() == SECURE_TORCH_RESULT_IO_NOT_FOUND);
  REQUIRE(missing.error().code() == "io-not-found");
  REQUIRE(missing.error().message().find("no/such/file.pt") != std::string_view::npos);
  REQUIRE(!missing.error().hint().empty());
  REQUIRE(missing.error().path() == "no/such/file.pt");
  REQUIRE(!missing.error().report());

  const auto blocked = st::load_bytes("model.pt", HOSTILE);
  REQUIRE(!blocked);
  REQUIRE(blocked.error().result() == SECURE_TORCH_RESULT_MODEL_BLOCKED);
  const auto report = blocked.error().report();
  REQUIRE(report.has_value());
  REQUIRE(report->json() == st::scan_bytes("model.pt", HOSTILE)->json());

  REQUIRE(st::verify("model.pt").error().code() == "feature-missing");
  REQUIRE(st::scan(std::string_view("a\0b", 3)).has_value() == false);
  const st::Failure own(SECURE_TORCH_RESULT_USAGE, "no");
  REQUIRE(own.code() == "usage" && own.message() == "no" && !own.hint().empty());
#if SECURE_TORCH_EXCEPTIONS
  bool thrown = false;
  try {
    (void)st::load_bytes("model.pt", HOSTILE).value();
  } catch (const st::Error& error) {
    thrown = true;
    const st::Error copy = error;
    REQUIRE(copy.code() == "model-blocked");
    REQUIRE(std::string_view(copy.what()).find("model.pt") != std::string_view::npos);
    REQUIRE(copy.report()->verdict() == st::Verdict::Block);
    REQUIRE(!copy.hint().empty() && copy.path() == "model.pt");
  }
  REQUIRE(thrown);
  REQUIRE(st::scan_bytes("model.pt", HOSTILE).value().verdict() == st::Verdict::Block);
#endif
}

void policies() {
  st::Policy policy;
  REQUIRE(policy.get() != nullptr);
  REQUIRE(policy.set_max_threat_score(100));
  REQUIRE(policy.max_threat_score() == 100);
  REQUIRE(!policy.set_max_threat_score(101));
  REQUIRE(!policy.allow("no name at all"));
  REQUIRE(policy.allow("a.b"));
  REQUIRE(!policy.set_limit("no.such.limit", 1));
  REQUIRE(policy.set_limit("archive.total_bytes", 1 << 20));
  REQUIRE(st::scan_bytes("model.pt", HOSTILE, policy)->load_allowed());
  const auto bad = st::Policy::from_toml("max_threat_score = \"high\"");
  REQUIRE(bad.error().code() == "policy-invalid");
  REQUIRE(st::Policy::open("no/such/file.toml").error().code() == "io-not-found");
  const auto strict = st::Policy::from_toml("max_threat_score = 0\n");
  REQUIRE(strict && strict->max_threat_score() == 0);
}

void checkpoints() {
  const auto loaded = st::load_bytes("model.safetensors", safetensors());
  REQUIRE(loaded);
  const st::Checkpoint& checkpoint = *loaded;
  REQUIRE(checkpoint.report().load_allowed());
  REQUIRE(checkpoint.metadata().size() == 1);
  for (const auto& [key, value] : checkpoint.metadata()) REQUIRE(key == "format" && value == "pt");
  REQUIRE(checkpoint.tensors()->size() == 2);
  REQUIRE((*checkpoint.tensors())[0].name == "weight");
  REQUIRE((*checkpoint.tensors())[2].name.empty());
  const auto weight = checkpoint.tensor("weight");
  REQUIRE(weight.has_value());
  REQUIRE(weight->dtype().name() == "float32" && weight->dtype().size() == 4);
  REQUIRE(weight->dtype() == st::Dtype(SECURE_TORCH_DTYPE_FLOAT32));
  REQUIRE(weight->rank() == 2 && weight->shape()[0] == 2 && weight->strides()[0] == 2);
  REQUIRE(weight->elements() == 4);
  REQUIRE(!weight->is_conj() && !weight->is_meta() && !weight->requires_grad());
  const auto data = weight->data();
  REQUIRE(data && data->size() == 16);
  float third = 0;
  std::memcpy(&third, data->data() + 8, 4);
  REQUIRE(third == 3.0F);
  REQUIRE(!checkpoint.tensor("no such tensor"));

  // Memory and DLPack outlive the checkpoint.
  auto kept = [&]() -> std::pair<st::Memory, st::DLPack> {
    auto short_lived = st::load_bytes("model.safetensors", safetensors());
    const auto tensor = short_lived->tensor("weight");
    auto memory = short_lived->memory(*tensor->storage());
    auto dlpack = tensor->to_dlpack();
    REQUIRE(memory && dlpack);
    return {*std::move(memory), *std::move(dlpack)};
  }();
  REQUIRE(kept.first.size() >= 16 && kept.first.clone().data() == kept.first.data());
  const DLTensor& exported = kept.second->dl_tensor;
  REQUIRE(kept.second->major == 1 && exported.device_type == 1);
  REQUIRE(exported.ndim == 2 && exported.shape[1] == 2 && exported.bits == 32);
  float first = 0;
  std::memcpy(&first, static_cast<const char*>(exported.data) + exported.byte_offset, 4);
  REQUIRE(first == 1.0F);

  // One checkpoint, many handles, many threads.
  std::vector<std::thread> threads;
  std::vector<std::size_t> seen(4, 0);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    threads.emplace_back([&seen, i, own = checkpoint.clone()] {
      for (const auto named : *own.tensors()) seen[i] += named.tensor->data()->size();
    });
  }
  for (auto& thread : threads) thread.join();
  for (const std::size_t bytes : seen) REQUIRE(bytes == 20);
}

void trees() {
  const auto loaded = st::load_bytes("plain.pkl", PLAIN);
  REQUIRE(loaded);
  const st::Value root = loaded->root();
  REQUIRE(root.kind() == st::Kind::Dict && st::name(root.kind()) == "dict");
  REQUIRE(root.size() == 4 && root.entries().size() == 4 && root.items().empty());
  REQUIRE(root.class_name()->name == "dict");
  REQUIRE(root.find("epoch")->as_int() == 3);
  REQUIRE(root.find("name")->as_text() == "net");
  REQUIRE(!root.find("nothing"));
  const auto rates = root.find("rates");
  REQUIRE(rates->kind() == st::Kind::List && rates->size() == 3);
  REQUIRE(rates->items()[0].as_float() == 0.5);
  REQUIRE(rates->items()[1].as_bool() == true);
  REQUIRE(rates->items()[2].is_none());
  REQUIRE(rates->items()[3].is_none());
  REQUIRE(root.find("sizes")->kind() == st::Kind::Tuple);
  // Asked for something else, a value says nothing.
  REQUIRE(!root.as_int() && !root.as_text() && !root.as_tensor() && !root.as_device());
  REQUIRE(rates->find("epoch") == std::nullopt || !rates->find("epoch"));
  // A value that nobody gave is no way in.
  secure_torch_value forged{};
  forged.kind = SECURE_TORCH_KIND_TENSOR;
  forged.payload = 0xFFFFFFFFFF;
  REQUIRE(!st::Value(loaded->get(), forged).as_tensor());
  REQUIRE(st::Value(loaded->get(), forged).size() == 0);
}

void conversions(const std::filesystem::path& folder) {
  const auto from = (folder / "plain.safetensors").string();
  const auto to = (folder / "written.safetensors").string();
  const std::string bytes = safetensors();
  std::ofstream(from, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  const auto done = st::convert(from, to);
  REQUIRE(done && done->tensors() == 2 && done->report().load_allowed());
  REQUIRE(st::convert(from, to).error().code() == "io-exists");
  st::ConvertOptions again;
  again.force = true;
  REQUIRE(st::convert(from, to, again));
  const auto reports = st::scan_tree(folder.string());
  REQUIRE(reports && reports->all().size() == 2);
  for (const st::Judged& judged : reports->all()) REQUIRE(judged.report && judged.report->load_allowed());
  const auto sealed = st::load(to, [] {
    st::LoadOptions options;
    options.sealed = true;
    return options;
  }());
  REQUIRE(sealed && sealed->tensors()->size() == 2);
}

}  // namespace

int main() {
  const auto folder = std::filesystem::temp_directory_path() /
                      ("secure-torch-cpp-" + std::to_string(std::hash<std::thread::id>{}(
                                                 std::this_thread::get_id())));
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  handles_move();
  reports();
  failures();
  policies();
  checkpoints();
  trees();
  conversions(folder);
  std::filesystem::remove_all(folder);
  return check::close(SECURE_TORCH_EXCEPTIONS ? "api, with exceptions" : "api, without exceptions");
}
