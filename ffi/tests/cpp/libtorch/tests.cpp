// The layer over libtorch, against what PyTorch itself says (`reference.py` writes FOLDER).
//
//     tests FOLDER
//
// Every tensor of the manifest is loaded through the gate and described in the manifest's own words:
// element type, shape, strides, offset, which tensors share a storage, flags, and a hash of the elements.

#include <ATen/DLConvertor.h>
#include <c10/util/hash.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <secure_torch/libtorch.hpp>
#include <sstream>

#include "../check.hpp"

namespace st = secure_torch;
namespace lt = secure_torch::libtorch;

namespace {

std::string sha1(const at::Tensor& tensor) {
  at::Tensor plain = tensor.detach().resolve_conj().resolve_neg();
  if (!plain.is_contiguous()) plain = plain.contiguous();
  // c10's hash takes no empty text.
  if (plain.numel() == 0) return "da39a3ee5e6b4b0d3255bfef95601890afd80709";
  return c10::sha1(std::string(static_cast<const char*>(plain.const_data_ptr()), plain.nbytes())).str();
}

std::string content(const at::Tensor& tensor) {
  if (tensor.is_meta()) return "meta";
  std::ostringstream out;
  out.precision(9);
  if (tensor.layout() == at::kSparse) {
    out << "sparse_coo " << sha1(tensor._indices()) << ' ' << sha1(tensor._values()) << ' '
        << (tensor.is_coalesced() ? 1 : 0);
  } else if (tensor.layout() != at::kStrided) {
    const bool rows = tensor.layout() == at::kSparseCsr || tensor.layout() == at::kSparseBsr;
    const char* name = tensor.layout() == at::kSparseCsr   ? "sparse_csr "
                       : tensor.layout() == at::kSparseCsc ? "sparse_csc "
                       : tensor.layout() == at::kSparseBsr ? "sparse_bsr "
                                                           : "sparse_bsc ";
    out << name << sha1(rows ? tensor.crow_indices() : tensor.ccol_indices()) << ' '
        << sha1(rows ? tensor.col_indices() : tensor.row_indices()) << ' ' << sha1(tensor.values());
  } else if (tensor.is_quantized()) {
    const bool whole = tensor.qscheme() == at::kPerTensorAffine;
    out << (whole ? "per_tensor " : "per_channel ") << sha1(tensor.int_repr()) << ' ';
    if (whole) {
      out << tensor.q_scale() << ' ' << tensor.q_zero_point();
    } else {
      out << sha1(tensor.q_per_channel_scales()) << ' ' << sha1(tensor.q_per_channel_zero_points())
          << ' ' << tensor.q_per_channel_axis();
    }
  } else {
    out << sha1(tensor);
  }
  return out.str();
}

std::string list(at::IntArrayRef numbers) {
  std::string text = "[";
  for (const auto number : numbers) text += (text.size() > 1 ? ", " : "") + std::to_string(number);
  return text + "]";
}

// Which tensors of a file share a storage, counted in the order in which they are met.
using Storages = std::map<const void*, std::size_t>;

std::string described(const std::string& head, const at::Tensor& tensor, Storages& storages) {
  const bool dense = tensor.layout() == at::kStrided;
  std::string alias = "-1";
  if (dense && !tensor.is_meta() && tensor.numel() > 0) {
    const void* start = tensor.storage().data();
    alias = std::to_string(storages.emplace(start, storages.size()).first->second);
  }
  std::string flags;
  if (tensor.requires_grad()) flags += 'g';
  if (tensor.is_conj()) flags += 'c';
  if (tensor.is_neg()) flags += 'n';
  const st::Dtype dtype(static_cast<std::uint32_t>(tensor.scalar_type()));
  std::string out = head + '\t' + std::string(dtype.name()) + '\t' + list(tensor.sizes()) + '\t';
  out += dense ? list(tensor.strides()) + '\t' + std::to_string(tensor.storage_offset()) : "-\t-";
  return out + '\t' + alias + '\t' + (flags.empty() ? "-" : flags) + '\t' + content(tensor);
}

// Every line of the manifest, by file.
void manifest(const std::filesystem::path& folder) {
  std::ifstream file(folder / "manifest.tsv");
  REQUIRE(file.good());
  std::map<std::string, std::vector<std::string>> files;
  for (std::string line; std::getline(file, line);) {
    files[line.substr(0, line.find('\t'))].push_back(line);
  }
  std::size_t tensors = 0;
  for (const auto& [path, wanted] : files) {
    const auto checkpoint = st::load(path).value();
    const bool tree = wanted[0].substr(path.size()).rfind("\ttree\t", 0) == 0;
    std::vector<std::pair<std::string, at::Tensor>> found;
    if (tree) {
      const auto root = lt::to_ivalue(checkpoint).value();
      for (const auto& entry : root.toGenericDict()) {
        found.emplace_back(entry.key().toStringRef(), entry.value().toTensor());
      }
    } else {
      found = lt::named_tensors(checkpoint).value();
    }
    Storages storages;
    REQUIRE(found.size() == wanted.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      const std::string head = path + (tree ? "\ttree\t" : "\tnames\t") + found[i].first;
      const std::string line = described(head, found[i].second, storages);
      if (line != wanted[i]) {
        std::cerr << "torch: " << wanted[i] << "\nours:  " << line << '\n';
      }
      REQUIRE(line == wanted[i]);
    }
    tensors += found.size();
  }
  std::cout << "manifest: " << tensors << " tensors of " << files.size()
            << " files are what PyTorch reads\n";
}

void values(const std::filesystem::path& folder) {
  const auto checkpoint = st::load((folder / "plain.pt").string()).value();
  const auto root = lt::to_ivalue(checkpoint).value().toGenericDict();
  REQUIRE(root.keyType()->kind() == c10::TypeKind::StringType);
  REQUIRE(root.at("none").isNone());
  REQUIRE(root.at("flags").toList().get(0).toBool() && !root.at("flags").toList().get(1).toBool());
  const auto numbers = root.at("numbers").toTuple();
  REQUIRE(numbers->elements()[0].toInt() == 1 && numbers->elements()[1].toDouble() == -2.5);
  REQUIRE(numbers->elements()[2].toComplexDouble() == c10::complex<double>(3, 4));
  REQUIRE(root.at("text").toStringRef() == "n\xc3\xa4me");
  REQUIRE(root.at("size").toIntVector() == std::vector<std::int64_t>({2, 3}));
  REQUIRE(root.at("dtype").toScalarType() == at::kHalf);
  REQUIRE(root.at("device").toDevice() == at::Device(at::kCUDA, 1));
  const auto places = root.at("places").toGenericDict();
  REQUIRE(places.keyType()->kind() == c10::TypeKind::IntType);
  REQUIRE(places.at(std::int64_t{0}).toStringRef() == "zero");
  REQUIRE(root.at("empty").toGenericDict().empty());
  // One tensor of the file is one tensor here.
  REQUIRE(places.at(std::int64_t{7}).toTensor().is_same(root.at("again").toTensor()));

  // An array of numpy's is a tensor: int16 [[1, 2, 3], [4, 5, 6]], its first index the fastest.
  std::string header = "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }";
  header.resize(117, ' ');
  constexpr char NPY[] = "\x93NUMPY\x01\x00\x76\x00";
  constexpr char NUMBERS[] = "\1\0\4\0\2\0\5\0\3\0\6";
  const std::string npy = std::string(NPY, 10) + header + "\n" + std::string(NUMBERS, 12);
  const auto array = lt::to_ivalue(st::load_bytes("array.npy", npy).value()).value().toTensor();
  REQUIRE(array.scalar_type() == at::kShort && array.strides() == at::IntArrayRef({1, 2}));
  REQUIRE(array.equal(at::tensor({1, 2, 3, 4, 5, 6}, at::kShort).view({2, 3})));
  std::string other = npy;
  other.replace(other.find("<i2"), 3, ">i2");
  const auto swapped = lt::named_tensors(st::load_bytes("array.npy", other).value());
  REQUIRE(!swapped && swapped.error().message().find("big-endian") != std::string_view::npos);

  // What c10::IValue has no type for is said, with its place: {"a": [b"x"]} as pickle.
  constexpr char PICKLE[] = "\x80\x03}X\x01\x00\x00\x00" "a]C\x01xas.";
  const std::string bytes(PICKLE, sizeof PICKLE - 1);
  const auto refused = lt::to_ivalue(st::load_bytes("bytes.pkl", bytes).value());
  REQUIRE(!refused && refused.error().code() == "model-unsupported");
  REQUIRE(refused.error().message().find("`root.a.0` is bytes") != std::string_view::npos);

  // So is a dict whose keys are two in the file and one here: {torch.float32: 1, 6: 2}.
  const auto same = lt::to_ivalue(
    st::load_bytes("keys.pkl", std::string_view("\x80\x02}(ctorch\nfloat32\nK\x01K\x06K\x02u.")).value());
  REQUIRE(!same && same.error().message().find("`root`: entries") == 0);
}

// One text after another, as pickle has them.
std::string text(const std::string& text) {
  std::string out = "X";
  for (unsigned shift = 0; shift < 32; shift += 8) out += static_cast<char>(text.size() >> shift);
  return out + text;
}

// What a file calls something costs no more than it has to, and reaches no terminal as it is.
void names() {
  // {long key: [None, ...]}: the text of a place for each item would be hundreds of gigabytes, and hours.
  const std::string key(std::size_t{16} << 20, 'k');
  const std::string many = "\x80\x02}" + text(key) + "](" + std::string(20000, 'N') + "es.";
  REQUIRE(lt::to_ivalue(st::load_bytes("many.pkl", many).value()).has_value());

  const std::string name = "\x1b[2J\xe2\x80\xae";
  const std::string header =
    R"({"\u001b[2J\u202e":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  std::string file(1, static_cast<char>(header.size()));
  file += std::string(7, '\0') + header + std::string(4, '\0');
  const auto checkpoint = st::load_bytes("hostile.safetensors", file).value();
  REQUIRE(lt::named_tensors(checkpoint).value().front().first == name);
  const auto unexpected = lt::load_state_dict(*torch::nn::BatchNorm1d(3), checkpoint);
  REQUIRE(unexpected.error().message().find("unexpected: \\u{1b}[2J\\u{202e}") !=
          std::string_view::npos);
  const auto bytes = lt::to_ivalue(
    st::load_bytes("bytes.pkl", "\x80\x03}" + text(name) + "C\x01xs.").value());
  REQUIRE(bytes.error().message().find("`root.\\u{1b}[2J\\u{202e}` is bytes") == 0);

  // Of very many names, some are listed and the others counted.
  std::string object = "{";
  for (int i = 0; i < 300; ++i) {
    object += (i > 0 ? ",\"n" : "\"n") + std::to_string(i) +
              R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  }
  object += "}";
  file = std::string(1, static_cast<char>(object.size()));
  file += static_cast<char>(object.size() >> 8U);
  file += std::string(6, '\0') + object;
  const auto counted =
    lt::load_state_dict(*torch::nn::BatchNorm1d(3), st::load_bytes("n", file).value());
  REQUIRE(counted.error().message().find(" and 200 more") != std::string_view::npos);
}

struct Net : torch::nn::Module {
  Net() { norm = register_module("norm", torch::nn::BatchNorm1d(3)); }
  torch::nn::BatchNorm1d norm{nullptr};
};

std::string contents(const torch::nn::Module& module) {
  std::string all;
  for (const auto& item : module.named_parameters()) all += item.key() + sha1(item.value());
  for (const auto& item : module.named_buffers()) all += item.key() + sha1(item.value());
  return all;
}

void modules(const std::filesystem::path& folder) {
  const auto checkpoint = st::load((folder / "nested.pt").string()).value();
  torch::nn::BatchNorm1d norm(3);
  at::NoGradGuard no_grad;
  norm->weight.fill_(7);
  norm->num_batches_tracked.fill_(7);
  const std::string before = contents(*norm);

  // Without the prefix, every name is missing and every name of the file unexpected; all are listed.
  const auto strict = lt::load_state_dict(*norm, checkpoint);
  REQUIRE(!strict && strict.error().code() == "model-unsupported");
  for (const char* name : {"missing: weight", "bias", "running_mean", "num_batches_tracked",
                           "unexpected: model.weight", "model.running_var"}) {
    REQUIRE(strict.error().message().find(name) != std::string_view::npos);
  }
  REQUIRE(contents(*norm) == before);

  lt::StateDictOptions options;
  options.strict = false;
  const auto passed = lt::load_state_dict(*norm, checkpoint, options).value();
  REQUIRE(passed.missing.size() == 5 && passed.unexpected.size() == 5);
  REQUIRE(contents(*norm) == before);

  options = {};
  options.prefix = "model.";
  const void* own = norm->weight.data_ptr();
  REQUIRE(lt::load_state_dict(*norm, checkpoint, options).value().missing.empty());
  REQUIRE(norm->weight.equal(at::ones({3})) && norm->num_batches_tracked.item<std::int64_t>() == 0);
  REQUIRE(norm->weight.data_ptr() == own && norm->weight.requires_grad());

  // Shapes that do not fit are an error even where names need not, and nothing is written.
  torch::nn::BatchNorm1d other(4);
  other->bias.fill_(7);
  const std::string untouched = contents(*other);
  options.strict = false;
  const auto misfit = lt::load_state_dict(*other, checkpoint, options);
  REQUIRE(!misfit && contents(*other) == untouched);
  REQUIRE(misfit.error().message().find(
            "weight (the module has the shape [4], the file [3]), bias (") != std::string_view::npos);
  // So are elements that would lose something.
  torch::nn::BatchNorm1d integers(3);
  integers->running_mean.set_data(at::zeros({3}, at::kLong));
  const auto lossy = lt::load_state_dict(*integers, checkpoint, options);
  REQUIRE(!lossy && lossy.error().message().find("elements of the type Long") != std::string_view::npos);
  // What loses nothing is converted, as by torch.
  torch::nn::BatchNorm1d doubles(3);
  doubles->to(at::kDouble);
  REQUIRE(lt::load_state_dict(*doubles, checkpoint, options).has_value());
  REQUIRE(doubles->weight.scalar_type() == at::kDouble && doubles->weight.equal(at::ones({3}, at::kDouble)));

  // What libtorch cannot convert is found out before the first tensor is written.
  torch::nn::BatchNorm1d whole(3);
  whole->weight.fill_(7);
  const std::string kept = contents(*whole);
  const auto packed = lt::load_state_dict(*whole, st::load((folder / "packed.pt").string()).value());
  REQUIRE(!packed && contents(*whole) == kept);
  // Which of two tensors of one name is meant, nobody can say.
  lt::StateDictOptions below;
  below.prefix = "model.";
  const auto twice = lt::load_state_dict(*whole, st::load((folder / "twice.pt").string()).value(), below);
  REQUIRE(!twice && contents(*whole) == kept);
  REQUIRE(twice.error().message().find("weight (is there twice)") != std::string_view::npos);

  // Assigned tensors look at the checkpoint's memory, and outlive it.
  torch::nn::BatchNorm1d assigned(3);
  {
    const auto short_lived = st::load((folder / "nested.pt").string()).value();
    options.assign = true;
    REQUIRE(lt::load_state_dict(*assigned, short_lived, options).has_value());
    const auto memory = short_lived.memory(*short_lived.tensor("model.weight")->storage()).value();
    REQUIRE(assigned->weight.data_ptr() == memory.data());
  }
  REQUIRE(assigned->weight.equal(at::ones({3})) && assigned->weight.requires_grad());
  REQUIRE(assigned->running_var.equal(at::ones({3})));

  // A file from before batches were counted loads all the same; nothing else may be missing.
  torch::nn::BatchNorm1d old(3);
  old->num_batches_tracked.fill_(7);
  const auto uncounted = st::load((folder / "uncounted.pt").string()).value();
  REQUIRE(uncounted.tensors()->size() == 4 && lt::load_state_dict(*old, uncounted).has_value());
  REQUIRE(old->num_batches_tracked.item<std::int64_t>() == 7);

  // A submodule's names carry dots.
  Net net;
  const auto names = lt::load_state_dict(net, checkpoint);
  REQUIRE(names.error().message().find("missing: norm.weight,") != std::string_view::npos);
}

void locations(const std::filesystem::path& folder) {
  const auto checkpoint = st::load((folder / "plain.pt").string()).value();
  // The meta device stands for any other one: storages are made there, once each.
  lt::Options options;
  options.map_location = lt::to(at::kMeta);
  const auto there = lt::named_tensors(checkpoint, options).value();
  REQUIRE(!there.empty());
  for (const auto& [name, tensor] : there) REQUIRE(tensor.is_meta() && tensor.numel() == 2);
  REQUIRE(there[0].second.storage().is_alias_of(there[1].second.storage()));
  std::string asked;
  options.map_location = [&](std::string_view saved) {
    asked = saved;
    return at::Device(at::kCPU);
  };
  REQUIRE(lt::named_tensors(checkpoint, options) && asked == "cpu");
  options.map_location = [](std::string_view) -> at::Device { throw std::runtime_error("nowhere"); };
  REQUIRE(lt::named_tensors(checkpoint, options).error().message().find("nowhere") !=
        std::string_view::npos);

  if (!at::hasCUDA()) {
    std::cout << "skipped: map_location to CUDA (no device)\n";
    return;
  }
  options.map_location = lt::to(at::kCUDA);
  for (const auto& [name, tensor] : lt::named_tensors(checkpoint, options).value()) {
    REQUIRE(tensor.is_cuda() && tensor.cpu().equal(at::ones({2})));
  }
}

// Whether this libtorch has every element type of the table, under the same name.
void types() {
  std::size_t known = 0;
  for (std::uint32_t number = 0; st::Dtype(number).size() > 0; ++number, ++known) {
    REQUIRE(lt::scalar_type(st::Dtype(number)).has_value());
  }
  REQUIRE(known == static_cast<std::size_t>(at::ScalarType::Undefined));
  REQUIRE(!lt::scalar_type(st::Dtype(1000)));
}

void copies(const std::filesystem::path& folder) {
  const auto path = (folder / "kinds.pt").string();
  const auto checkpoint = st::load(path).value();
  const auto mapped = lt::named_tensors(checkpoint).value();
  // Memory that shares nothing with the file holds the same.
  lt::Options options;
  options.copy = true;
  const auto other = st::load(path).value();
  const auto copied = lt::named_tensors(other, options).value();
  REQUIRE(mapped.size() == copied.size());
  at::Tensor whole;
  at::Tensor part;
  at::Tensor copy;
  for (std::size_t i = 0; i < mapped.size(); ++i) {
    if (mapped[i].first == "whole") whole = mapped[i].second;
    if (mapped[i].first == "part") part = mapped[i].second;
    if (copied[i].first == "part") copy = copied[i].second;
  }
  // Writing is seen by what shares the memory, and by no other checkpoint of the file.
  whole.fill_(9);
  REQUIRE(part.equal(at::full({3}, 9.0)));
  REQUIRE(copy.equal(at::tensor({5.0F, 7.0F, 9.0F})));
  const auto again = lt::named_tensors(st::load(path).value()).value();
  for (const auto& [name, tensor] : again) {
    if (name == "whole") REQUIRE(tensor.equal(at::arange(24.0)));
  }
  // DLPack from here is taken by libtorch, over the same memory.
  const auto tensor = *checkpoint.tensor("part");
  auto exported = tensor.to_dlpack().value();
  const at::Tensor taken = at::fromDLPackVersioned(exported.release());
  REQUIRE(taken.equal(part) && taken.data_ptr() == part.data_ptr());
}

std::size_t resident() {
  std::ifstream file("/proc/self/statm");
  std::size_t all = 0;
  std::size_t pages = 0;
  file >> all >> pages;
  return pages * 4096;
}

void memory(const std::filesystem::path& folder) {
  const std::size_t before = resident();
  const auto checkpoint = st::load((folder / "large.safetensors").string()).value();
  const auto tensors = lt::named_tensors(checkpoint).value();
  REQUIRE(tensors.size() == 1);
  const at::Tensor zeros = tensors[0].second;
  const auto held = checkpoint.memory(*checkpoint.tensor("zeros")->storage()).value();
  REQUIRE(zeros.nbytes() == std::size_t{1} << 30);
  REQUIRE(held.is_mapped() && zeros.data_ptr() == held.data());
  REQUIRE(zeros[12345].item<float>() == 0);
  const std::size_t grown = resident() - before;
  std::cout << "memory: a tensor of 1 GiB took " << grown / 1024 << " KiB\n";
  REQUIRE(grown < std::size_t{32} << 20);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::cerr << "usage: tests FOLDER\n";
    return 2;
  }
  try {
    const std::filesystem::path folder = arguments[1];
    types();
    memory(folder);
    manifest(folder);
    values(folder);
    names();
    modules(folder);
    locations(folder);
    copies(folder);
  } catch (const std::exception& error) {
    std::cerr << "unexpected: " << error.what() << '\n';
    return 1;
  }
  return check::close("libtorch");
}
